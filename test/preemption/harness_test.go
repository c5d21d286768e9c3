// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// gangLabel is on all pods of a test: the name of their gang, or of the pod.
const gangLabel = "dovetail.dev/gang-name"

// wholeNode is the claim template for all GPUs and RDMA NICs of an ND H100 v5 node.
const wholeNode = `
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: whole-node}
spec: {spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: ` + fleet.ClassGPU + `, count: 8}}, {name: nic, exactly: {deviceClassName: ` + fleet.ClassRDMA + `, count: 8}}]}}}
`

// priorities are the PriorityClasses of the tests. Pods of the class polite preempt nobody.
var priorities = map[string]int32{"high": 1000, "polite": 900, "low": 10, "lower": 5}

// env is one test's namespace in a cluster.
type env struct{ *harness.Env }

// shared has 2 spines x 2 leaves x 4 ND H100 v5 nodes. Tests use it in sequence.
var shared = harness.Share(func() (localcluster.Options, error) {
	return localcluster.Options{Fleets: []fleet.Spec{nodes}}, nil
}, createPriorities)

var nodes, leaves = mustFleet("shape=ndh100v5,spines=2,leaves=2,nodes=4")

// TestMain stops the shared cluster.
func TestMain(m *testing.M) { shared.Main(m) }

func start(t *testing.T) *env {
	t.Helper()
	return &env{harness.New(t, shared.Cluster(t), harness.Options{Prefix: "pre-"})}
}

// createPriorities creates the PriorityClasses of the tests.
func createPriorities(cluster *localcluster.Cluster) error {
	classes := kubernetes.NewForConfigOrDie(cluster.AdminConfig()).SchedulingV1().PriorityClasses()
	for name, value := range priorities {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
		if name == "polite" {
			class.PreemptionPolicy = ptr.To(corev1.PreemptNever)
		}
		if _, err := classes.Create(context.Background(), class, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// mustFleet returns a fleet, and its leaves.
func mustFleet(text string) (fleet.Spec, []string) {
	spec, err := fleet.Parse(text)
	if err != nil {
		panic(err)
	}
	var leaves []string
	for node := range spec.All() {
		if !slices.Contains(leaves, node.Leaf()) {
			leaves = append(leaves, node.Leaf())
		}
	}
	return spec, leaves
}

// workload is a ReplicaSet whose pods form a gang, if min is above 0.
type workload struct {
	name, priority string
	replicas, min  int
	// cpu is what each pod requests, devices whether it uses a whole node's devices.
	cpu     string
	devices bool
	// leaf restricts the pods to one leaf, "" for none. required names the topology level of
	// which one domain must hold the gang.
	leaf, required string
	scheduler      string
	// finalizer keeps a deleted pod until letEnd is called.
	finalizer string
}

func (e *env) create(w workload) {
	e.Helper()
	annotations, labels := []string{}, gangLabel+": "+w.name
	if w.min > 0 {
		annotations = append(annotations, fmt.Sprintf(`dovetail.dev/gang-min: "%d"`, w.min))
	} else {
		labels = "alone: " + w.name
	}
	if w.required != "" {
		annotations = append(annotations, "dovetail.dev/topology-required: "+w.required)
	}
	spec := "terminationGracePeriodSeconds: 0, "
	if w.leaf != "" {
		spec += fmt.Sprintf("nodeSelector: {%s: %s}, ", fleet.LabelLeaf, w.leaf)
	}
	claims := ""
	if w.devices {
		spec += "resourceClaims: [{name: devices, resourceClaimTemplateName: whole-node}], "
		claims = ", claims: [{name: devices}]"
	}
	scheduler := w.scheduler
	if scheduler == "" {
		scheduler = "dovetail"
	}
	e.Create(fmt.Sprintf(`
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {of: %[1]s}}
  template:
    metadata: {labels: {of: %[1]s, %[3]s}, annotations: {%[4]s}, finalizers: [%[10]s]}
    spec: {schedulerName: %[5]s, priorityClassName: %[6]s, %[7]s containers: [{name: main, image: work, resources: {requests: {cpu: "%[8]s"}%[9]s}}]}
`, w.name, w.replicas, labels, strings.Join(annotations, ", "), scheduler, w.priority, spec, w.cpu, claims, w.finalizer))
	if w.finalizer != "" {
		e.Cleanup(func() { e.dissolve(w.name) })
	}
}

// dissolve deletes a workload whose pods have finalizers.
func (e *env) dissolve(name string) {
	none, now := metav1.DeletePropagationOrphan, int64(0)
	ctx := context.Background()
	if err := e.Client.AppsV1().ReplicaSets(e.Namespace).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &none}); err != nil {
		e.Errorf("deleting %s: %v", name, err)
	}
	e.Until("the pods of "+name+" are gone", func(ctx context.Context) string {
		list, err := e.Client.CoreV1().Pods(e.Namespace).List(ctx, metav1.ListOptions{LabelSelector: of(name)})
		if err != nil || len(list.Items) == 0 {
			return harness.Text(err)
		}
		_ = e.Client.CoreV1().Pods(e.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{LabelSelector: of(name)})
		e.strip(ctx, list.Items)
		return fmt.Sprintf("%d pods are left", len(list.Items))
	})
}

// strip removes the finalizers of pods.
func (e *env) strip(ctx context.Context, pods []corev1.Pod) {
	for i := range pods {
		patch := []byte(`{"metadata":{"finalizers":null}}`)
		_, err := e.Client.CoreV1().Pods(e.Namespace).Patch(ctx, pods[i].Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			e.Errorf("letting pod %s end: %v", pods[i].Name, err)
		}
	}
}

func of(name string) string { return "of=" + name }

// remove deletes a workload and waits until its pods are gone.
func (e *env) remove(name string) {
	e.Helper()
	background := metav1.DeletePropagationBackground
	if err := e.Client.AppsV1().ReplicaSets(e.Namespace).Delete(e.Context(), name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		e.Fatalf("deleting %s: %v", name, err)
	}
	e.Gone(of(name))
}

// ending returns the number of pods that are being deleted.
func (e *env) ending(selector string) int {
	e.Helper()
	list, err := e.Client.CoreV1().Pods(e.Namespace).List(e.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("listing pods: %v", err)
	}
	n := 0
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp != nil {
			n++
		}
	}
	return n
}

// letEnd removes the finalizers of pods that are being deleted.
func (e *env) letEnd(selector string) {
	e.Helper()
	list, err := e.Client.CoreV1().Pods(e.Namespace).List(e.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("listing pods: %v", err)
	}
	e.strip(e.Context(), list.Items)
}

// uids returns the UIDs of the pods that are on nodes.
func (e *env) uids(selector string) []string {
	var out []string
	for _, pod := range e.Pods(selector) {
		if pod.Spec.NodeName != "" {
			out = append(out, string(pod.UID))
		}
	}
	slices.Sort(out)
	return out
}

// said reports whether a pod has an event, or its condition a message, with the text.
func (e *env) said(text string) bool {
	for _, event := range e.Events() {
		if strings.Contains(event, text) {
			return true
		}
	}
	for _, pod := range e.Pods("") {
		if strings.Contains(harness.Unschedulable(&pod), text) {
			return true
		}
	}
	return false
}

// rayCluster returns a RayCluster of high priority. Each of its workers uses all devices of a
// node, and all workers are in one leaf.
func rayCluster(name string, workers int) string {
	return fmt.Sprintf(`
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: %s}
spec:
  rayVersion: 2.46.0
  headGroupSpec:
    rayStartParams: {}
    template:
      spec: {schedulerName: dovetail, priorityClassName: high, containers: [{name: main, image: work, resources: {requests: {cpu: "1"}}}]}
  workerGroupSpecs:
  - groupName: workers
    replicas: %[2]d
    minReplicas: %[2]d
    maxReplicas: %[2]d
    rayStartParams: {}
    template:
      metadata: {annotations: {dovetail.dev/topology-required: leaf}}
      spec:
        schedulerName: dovetail
        priorityClassName: high
        resourceClaims: [{name: devices, resourceClaimTemplateName: whole-node}]
        containers: [{name: main, image: work, resources: {requests: {cpu: "4"}, claims: [{name: devices}]}}]
`, name, workers)
}
