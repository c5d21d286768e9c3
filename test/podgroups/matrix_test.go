// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"

	"github.com/dovetail-dev/dovetail/test/harness"
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
// scheduler starts, finds out which of its own gates the cluster needs, places a gang
// of each kind that exists there, and logs nothing as an error.
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
			e := inCluster(t, harness.Start(t, localcluster.Options{
				FeatureGates: strings.Join(gates, ","), Fleets: []fleet.Spec{spec}, Without: []string{localcluster.KubeRay},
			}))
			e.gates(map[string]bool{
				"DRADeviceTaintRules": true, "GenericWorkload": i > 0, "TopologyAwareWorkloadScheduling": i > 0,
				"DRAWorkloadResourceClaims": i > 0, "CompositePodGroup": i > 2,
			})
			for _, each := range matrix[:i+1] {
				each.gang(e)
			}
			e.noErrors()
		})
	}
}

// gates fails the test if Dovetail's feature gates are not as they should be.
func (e *env) gates(want map[string]bool) {
	e.Helper()
	got, err := e.Cluster.Gates(e.Context(), localcluster.Dovetail)
	if err != nil {
		e.Fatal(err)
	}
	for gate, on := range want {
		if got[gate] != on {
			e.Errorf("Dovetail's feature gate %s is %v, want %v", gate, got[gate], on)
		}
	}
}

// everyStart is what stock components log as an error at each of their starts.
const everyStart = "The manifest file is empty, ignoring."

// notAnError reports whether a line says nothing about the test. The API server refuses events
// in the namespace of a former test, which is being deleted.
func (e *env) notAnError(line string) bool {
	return strings.HasSuffix(line, everyStart) ||
		strings.Contains(line, "because it is being terminated") && !strings.Contains(line, e.Namespace)
}

// noErrors fails the test with every line that Dovetail logged as an error.
func (e *env) noErrors() { e.noErrorsSince(0) }

// logged is how much Dovetail has logged so far.
func (e *env) logged() int {
	e.Helper()
	text, err := e.Cluster.Logs(localcluster.Dovetail)
	if err != nil {
		e.Fatal(err)
	}
	return len(text)
}

func (e *env) noErrorsSince(start int) {
	e.Helper()
	text, err := e.Cluster.Logs(localcluster.Dovetail)
	if err != nil {
		e.Fatal(err)
	}
	for _, line := range strings.Split(text[start:], "\n") {
		if e.notAnError(line) {
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
	e.Whole(of("labelled"), 2)
}

func (e *env) grouped() {
	e.group("gang", 2)
	e.members("gang", 0, 2, small)
	e.Whole(of("gang"), 2)
	e.group("basic", 0)
	e.members("basic", 0, 2, small)
	e.Whole(of("basic"), 2)
}

func (e *env) inOneLeaf() {
	e.group("leaf", 3, key(fleet.LabelLeaf))
	e.members("leaf", 0, 3)
	e.Whole(of("leaf"), 3)
	if got := e.Domains(of("leaf"), fleet.LabelLeaf); len(got) != 1 {
		e.Errorf("the gang stands in %v, want one leaf", got)
	}
}

func (e *env) inTree() {
	e.tree("tree", "dovetail", small)
	e.Whole(of("tree-a"), 3)
	e.Whole(of("tree-b"), 3)
}

// sharing is gangs whose PodGroups have a claim that their members name, and a template
// from which the group gets one.
func (e *env) sharing() {
	e.claim("named", fleet.ClassGPU, 2)
	e.template("template", fleet.ClassGPU, 2)
	for name, refer := range map[string]func(string) (func(*schedulingv1beta1.PodGroup), func(*corev1.Pod)){"named": named, "template": made} {
		group, pod := refer(name)
		e.group(name, 3, group)
		e.members(name, 0, 3, small, pod)
		e.sharesOne(name, corev1.LabelHostname, 3)
	}
}
