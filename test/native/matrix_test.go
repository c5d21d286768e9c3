// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// matrixEnv, when set, has the clusters of the matrix started, one after the other.
	matrixEnv = "NATIVE_MATRIX"
	claimGate = "DRAWorkloadResourceClaims=true"
)

// matrix is the gates of each row, beside those of the rows before it.
var matrix = []struct {
	name, gate string
	gang       func(*env)
}{
	{"none", "", (*env).labelled},
	{"GenericWorkload", "GenericWorkload=true", (*env).grouped},
	{"TopologyAware", "TopologyAwareWorkloadScheduling=true", (*env).inOneLeaf},
	{"Composite", "CompositePodGroup=true", (*env).inTree},
	{"ResourceClaims", claimGate, (*env).sharing},
}

// One binary and one configuration serve a cluster with any of the gates: the
// scheduler starts, a gang of each kind that exists there is placed, and nothing is
// logged as an error.
func TestGateMatrix(t *testing.T) {
	if os.Getenv(matrixEnv) == "" {
		t.Skipf("starts %d clusters; %s=1 or make test-native runs it", len(matrix), matrixEnv)
	}
	spec, err := fleet.Parse("shape=ndh100v5,spines=1,leaves=2,nodes=4")
	if err != nil {
		t.Fatal(err)
	}
	var gates []string
	for i, row := range matrix {
		if row.gate != "" {
			gates = append(gates, row.gate)
		}
		t.Run(row.name, func(t *testing.T) {
			cluster, err := localcluster.Start(t.Context(), localcluster.Options{
				FeatureGates: strings.Join(gates, ","), Fleets: []fleet.Spec{spec}, Without: []string{localcluster.KubeRay},
			})
			if err != nil {
				t.Fatalf("starting a cluster with %v: %v", gates, err)
			}
			t.Cleanup(func() {
				if err := cluster.Stop(); err != nil {
					t.Errorf("stopping the cluster: %v", err)
				}
			})
			e := inCluster(t, cluster)
			for _, each := range matrix[:i+1] {
				each.gang(e)
			}
			e.noErrors()
		})
	}
}

// everyStart is what stock components log as an error at each of their starts.
const everyStart = "The manifest file is empty, ignoring."

// noErrors fails the test with every line that Dovetail logged as an error.
func (e *env) noErrors() {
	e.Helper()
	text, err := e.cluster.Logs(localcluster.Dovetail)
	if err != nil {
		e.Fatal(err)
	}
	for _, line := range strings.Split(text, "\n") {
		if strings.HasSuffix(line, everyStart) {
			continue
		}
		if len(line) > 5 && line[0] == 'E' && strings.Trim(line[1:5], "0123456789") == "" {
			e.Errorf("dovetail logged an error: %s", line)
		}
	}
}

func small(pod *corev1.Pod) {
	pod.Spec.Containers[0].Resources.Requests = nil
}

// labelled is a gang that no API declares.
func (e *env) labelled() {
	e.members("labelled", 0, 2, small, func(pod *corev1.Pod) {
		pod.Spec.SchedulingGroup = nil
		pod.Labels["dovetail.dev/gang-name"] = "labelled"
		pod.Annotations = map[string]string{"dovetail.dev/gang-min": "2"}
	})
	e.whole(of("labelled"), 2)
}

func (e *env) grouped() {
	e.group("gang", 2)
	e.members("gang", 0, 2, small)
	e.whole(of("gang"), 2)
	e.group("basic", 0)
	e.members("basic", 0, 2, small)
	e.whole(of("basic"), 2)
}

func (e *env) inOneLeaf() {
	e.group("leaf", 3, key(fleet.LabelLeaf))
	e.members("leaf", 0, 3)
	e.whole(of("leaf"), 3)
	if got := e.domains(of("leaf"), fleet.LabelLeaf); len(got) != 1 {
		e.Errorf("the gang stands in %v, want one leaf", got)
	}
}

func (e *env) inTree() {
	e.tree("tree", "dovetail", small)
	e.whole(of("tree-a"), 3)
	e.whole(of("tree-b"), 3)
}

// sharing is a gang whose PodGroup has the claim that its members name.
func (e *env) sharing() {
	const name = "shared"
	claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	claim.Spec.Devices.Requests = []resourceapi.DeviceRequest{{
		Name: "gpus", Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: fleet.ClassGPU, Count: 2},
	}}
	if _, err := e.client.ResourceV1().ResourceClaims(e.ns).Create(e.Context(), claim, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating the claim: %v", err)
	}
	shared := name
	e.group("claims", 3, func(group *schedulingv1beta1.PodGroup) {
		group.Spec.ResourceClaims = []schedulingv1beta1.PodGroupResourceClaim{{Name: name, ResourceClaimName: &shared}}
	})
	e.members("claims", 0, 3, small, func(pod *corev1.Pod) {
		pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: name, ResourceClaimName: &shared}}
		pod.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: name}}
	})
	e.whole(of("claims"), 3)
	if got := e.domains(of("claims"), corev1.LabelHostname); len(got) != 1 {
		e.Errorf("the gang stands on %v, want the node of its claim", got)
	}
	got, err := e.client.ResourceV1().ResourceClaims(e.ns).Get(e.Context(), name, metav1.GetOptions{})
	if err != nil {
		e.Fatalf("reading the claim: %v", err)
	}
	if users := got.Status.ReservedFor; !slices.ContainsFunc(users, func(one resourceapi.ResourceClaimConsumerReference) bool { return one.Resource == "podgroups" }) {
		e.Errorf("the claim is reserved for %v, want the PodGroup", users)
	}
}
