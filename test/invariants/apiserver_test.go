// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// The tests of this file make the writes of a scheduler on a real API server.

// server starts an etcd and a kube-apiserver for the first test that calls it. No
// controller runs, because it could change the objects of a test.
var server = sync.OnceValues(func() (*localcluster.Cluster, error) {
	started = true
	return localcluster.Start(context.Background(), localcluster.Options{Without: []string{
		localcluster.ControllerManager, localcluster.Scheduler, localcluster.Kwok, localcluster.KubeRay, localcluster.Dovetail,
	}, Out: os.Stderr})
})

// started is true when the server runs and must be stopped.
var started bool

func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if cluster, err := server(); err == nil && cluster.Stop() != nil {
			code = 1
		}
	}
	os.Exit(code)
}

func adminConfig(t *testing.T) *rest.Config {
	t.Helper()
	cluster, err := server()
	if err != nil {
		t.Fatalf("starting the API server: %v", err)
	}
	return cluster.AdminConfig()
}

// manualScheduler makes the writes of a scheduler in the namespace of a test.
type manualScheduler struct {
	*testing.T
	core      kubernetes.Interface
	raw       dynamic.Interface
	namespace string
	checker   *Checker
}

// shortOptions have short time limits, so that these tests are fast.
var shortOptions = Options{Grace: time.Second, Settle: 300 * time.Millisecond, Placement: time.Second}

var notDNS = regexp.MustCompile(`[^a-z0-9]+`)

func newManualScheduler(t *testing.T) *manualScheduler {
	h := &manualScheduler{T: t, namespace: strings.Trim(notDNS.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")}
	cfg := adminConfig(t)
	h.core, h.raw = kubernetes.NewForConfigOrDie(cfg), dynamic.NewForConfigOrDie(cfg)
	_, err := h.core.CoreV1().Namespaces().Create(t.Context(), &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.namespace}}, metav1.CreateOptions{})
	h.must(err)
	_, err = h.core.CoreV1().ServiceAccounts(h.namespace).Create(t.Context(), &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	h.must(err)
	h.checker, err = Watch(t.Context(), cfg, shortOptions)
	h.must(err)
	t.Cleanup(h.checker.Stop)
	return h
}

func (h *manualScheduler) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// node registers a node with 10 CPUs and two GPUs, named after the test.
func (h *manualScheduler) node(name string) string {
	node := newNode(h.namespace + "-" + name)
	node.UID = ""
	made, err := h.core.CoreV1().Nodes().Create(h.Context(), node, metav1.CreateOptions{})
	h.must(err)
	// The API server taints every new node as not ready, and no controller removes the taint.
	made.Spec.Taints = nil
	made, err = h.core.CoreV1().Nodes().Update(h.Context(), made, metav1.UpdateOptions{})
	h.must(err)
	made.Status = node.Status
	_, err = h.core.CoreV1().Nodes().UpdateStatus(h.Context(), made, metav1.UpdateOptions{})
	h.must(err)
	slice := newSlice(node.Name)
	slice.UID = ""
	_, err = h.core.ResourceV1().ResourceSlices().Create(h.Context(), slice, metav1.CreateOptions{})
	h.must(err)
	return node.Name
}

func (h *manualScheduler) pod(name string, changes ...func(*v1.Pod)) *v1.Pod {
	pod := newPod(name, changes...)
	pod.Namespace, pod.UID = h.namespace, ""
	made, err := h.core.CoreV1().Pods(h.namespace).Create(h.Context(), pod, metav1.CreateOptions{})
	h.must(err)
	return made
}

// bind writes the pods/binding subresource, like a scheduler.
func (h *manualScheduler) bind(node string, pods ...*v1.Pod) {
	for _, pod := range pods {
		h.must(h.core.CoreV1().Pods(h.namespace).Bind(h.Context(), &v1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: pod.Name, UID: pod.UID},
			Target:     v1.ObjectReference{Kind: "Node", Name: node},
		}, metav1.CreateOptions{}))
	}
}

// claim creates a claim for a GPU and writes an allocation into its status.
func (h *manualScheduler) claim(name string, pod *v1.Pod, node, device string) {
	claims := h.core.ResourceV1().ResourceClaims(h.namespace)
	made, err := claims.Create(h.Context(), &resourceapi.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: resourceapi.ResourceClaimSpec{Devices: resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{{
			Name: "gpu", Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: "gpu", AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: 1},
		}}}},
	}, metav1.CreateOptions{})
	h.must(err)
	made.Status = newClaim(name, pod.Name, node, device).Status
	made.Status.ReservedFor[0].UID = pod.UID
	_, err = claims.UpdateStatus(h.Context(), made, metav1.UpdateOptions{})
	h.must(err)
}

var coschedulingResource = schema.GroupVersionResource{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Resource: "podgroups"}

func (h *manualScheduler) coscheduling(name string, minMember int64) {
	h.must(wait.PollUntilContextCancel(h.Context(), tick, true, func(ctx context.Context) (bool, error) {
		_, err := h.raw.Resource(coschedulingResource).Namespace(h.namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup",
			"metadata": map[string]any{"name": name}, "spec": map[string]any{"minMember": minMember},
		}}, metav1.CreateOptions{})
		return err == nil, nil // The API server may not serve a new CRD yet.
	}))
}

// expect waits for a violation in this test's namespace that contains the words.
func (h *manualScheduler) expect(words ...string) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), 10*time.Second)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, tick, true, func(context.Context) (bool, error) {
		return containsAll(h.violationText(), words), nil
	})
	if err != nil {
		h.Errorf("want a violation with the words %q, got:\n%s", words, h.violationText())
	}
}

// violationText returns all violations in this test's namespace.
func (h *manualScheduler) violationText() string {
	var all []string
	for _, violation := range h.checker.Violations() {
		if strings.Contains(violation.String(), h.namespace) {
			all = append(all, violation.String())
		}
	}
	return strings.Join(all, "\n")
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func TestRealHalfGang(t *testing.T) {
	h := newManualScheduler(t)
	node := h.node("n1")
	h.coscheduling("g", 3)
	pods := []*v1.Pod{h.pod("a", inCoscheduling("g")), h.pod("b", inCoscheduling("g")), h.pod("c", inCoscheduling("g"))}
	h.bind(node, pods[:2]...)
	h.expect("I1", "gang PodGroup "+h.namespace+"/g: bound below its minimum (member 2 of 3)", "pod a (member): on "+node, "pod c (member): no node")
}

func TestRealOvercommittedNode(t *testing.T) {
	h := newManualScheduler(t)
	node := h.node("n1")
	big := func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests["cpu"] = resource.MustParse("6") }
	h.bind(node, h.pod("a", big), h.pod("b", big))
	h.expect("I2", "pod "+h.namespace+"/b was bound to "+node+", which is over-committed: 12 of 10 cpu", "a asks for 6 cpu")
}

func TestRealDeviceGivenTwice(t *testing.T) {
	h := newManualScheduler(t)
	node := h.node("n1")
	a, b := h.pod("a", withClaim("x")), h.pod("b", withClaim("y"))
	h.claim("x", a, node, "gpu-1")
	h.claim("y", b, node, "gpu-1")
	h.bind(node, a, b)
	h.expect("I2", "gpu.example.com/"+node+"/gpu-1 is allocated to claim "+h.namespace+"/x and to claim "+h.namespace+"/y", "reserved for a", "reserved for b")
}

func TestRealClaimOfAPodThatWaits(t *testing.T) {
	h := newManualScheduler(t)
	node := h.node("n1")
	h.coscheduling("g", 2)
	h.claim("x", h.pod("a", inCoscheduling("g"), withClaim("x")), node, "gpu-0")
	h.expect("I4", "claim "+h.namespace+"/x holds 1 devices for pod "+h.namespace+"/a", "member 0 of 2")
}

func TestRealUnknownNode(t *testing.T) {
	h := newManualScheduler(t)
	h.bind(h.namespace+"-nowhere", h.pod("a"))
	h.expect("I2", "which does not exist")
}

func TestRealSchedulerWithoutViolation(t *testing.T) {
	h := newManualScheduler(t)
	node := h.node("n1")
	h.coscheduling("g", 2)
	a, b := h.pod("a", inCoscheduling("g"), withClaim("x")), h.pod("b", inCoscheduling("g"), withClaim("y"))
	h.claim("x", a, node, "gpu-0")
	h.claim("y", b, node, "gpu-1")
	before := h.checker.Bindings()
	h.bind(node, a, b)
	h.must(h.checker.Flush(h.Context()))
	if judged := h.checker.Bindings() - before; judged != 2 {
		t.Errorf("want 2 bindings judged after Flush, got %d", judged)
	}
	time.Sleep(2 * shortOptions.Grace) // A violation would appear after Grace.
	if found := h.violationText(); found != "" {
		t.Errorf("want no violation, got:\n%s", found)
	}
}

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

func TestRealDefinitionInstalledLater(t *testing.T) {
	raw := dynamic.NewForConfigOrDie(adminConfig(t)).Resource(crds)
	name := coschedulingResource.GroupResource().String()
	saved, err := raw.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextCancel(t.Context(), tick, true, func(ctx context.Context) (bool, error) {
		list, err := kubernetes.NewForConfigOrDie(adminConfig(t)).Discovery().ServerResourcesForGroupVersion(coschedulingResource.GroupVersion().String())
		return err != nil || !serves(list, coschedulingResource.Resource), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h := newManualScheduler(t)
	saved.SetResourceVersion("")
	saved.SetUID("")
	_, err = raw.Create(t.Context(), saved, metav1.CreateOptions{})
	h.must(err)
	node := h.node("n1")
	h.coscheduling("late", 2)
	h.bind(node, h.pod("a", inCoscheduling("late")))
	h.expect("I1", "bound below its minimum (member 1 of 2)")
}

// recorder is a testing.TB that stores its errors and cleanups.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestRunFailsItsTest(t *testing.T) {
	h := newManualScheduler(t)
	judged := &recorder{TB: t}
	RunWith(judged, adminConfig(t), shortOptions)
	h.bind(h.namespace+"-nowhere", h.pod("a"))
	for _, cleanup := range judged.cleanups {
		cleanup()
	}
	want := []string{"invariant I2", h.namespace, "does not exist"}
	if !slices.ContainsFunc(judged.errors, func(text string) bool { return containsAll(text, want) }) {
		t.Errorf("want an error about the binding at the end of the test, got %q", judged.errors)
	}
}
