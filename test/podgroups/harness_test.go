// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/test/invariants"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// patience bounds every wait for something that should take seconds.
	patience = 90 * time.Second
	pollStep = 50 * time.Millisecond
	// allGates are those of the PodGroup API and of what is built on it.
	allGates = "GenericWorkload=true,TopologyAwareWorkloadScheduling=true,CompositePodGroup=true,DRAWorkloadResourceClaims=true,WorkloadWithJob=true"
	// nodes is the size of the fleet. One test pod fills a node.
	nodes     = 20
	perLeaf   = 5
	groupName = "group"
)

var shared = sync.OnceValues(func() (*localcluster.Cluster, error) {
	spec, err := fleet.Parse("shape=plain,spines=2,leaves=2,nodes=5")
	if err != nil {
		return nil, err
	}
	return localcluster.Start(context.Background(), localcluster.Options{
		FeatureGates: allGates, Fleets: []fleet.Spec{spec}, Without: []string{localcluster.KubeRay},
		DovetailConfig: slowly(),
	})
})

// slowly is the shipped configuration with a client that makes 50 requests a second,
// so that there is a middle of a gang's bindings.
func slowly() []byte {
	return []byte(strings.NewReplacer("qps: 1000", "qps: 50", "burst: 2000", "burst: 1").Replace(string(manifests.SchedulerConfig)))
}

func TestMain(m *testing.M) {
	code := m.Run()
	if cluster, err := shared(); err == nil {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the cluster:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// env is one test's namespace in the shared cluster.
type env struct {
	*testing.T
	cluster *localcluster.Cluster
	client  kubernetes.Interface
	ns      string
}

func newEnv(t *testing.T) *env {
	t.Helper()
	cluster, err := shared()
	if err != nil {
		t.Fatalf("starting the cluster: %v", err)
	}
	return inCluster(t, cluster)
}

func inCluster(t *testing.T, cluster *localcluster.Cluster) *env {
	t.Helper()
	cfg := cluster.AdminConfig()
	cfg.QPS, cfg.Burst = 2000, 4000
	e := &env{T: t, cluster: cluster, client: kubernetes.NewForConfigOrDie(cfg)}
	ns, err := e.client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "native-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating a namespace: %v", err)
	}
	e.ns = ns.Name
	t.Cleanup(e.empty)
	invariants.Run(t, cfg)
	t.Cleanup(func() {
		if t.Failed() {
			e.explain()
		}
	})
	return e
}

func (e *env) empty() {
	ctx := context.Background()
	if err := e.client.CoreV1().Namespaces().Delete(ctx, e.ns, metav1.DeleteOptions{}); err != nil {
		e.Errorf("deleting namespace %s: %v", e.ns, err)
	}
	err := wait.PollUntilContextTimeout(ctx, pollStep, patience, true, func(ctx context.Context) (bool, error) {
		_, err := e.client.CoreV1().Namespaces().Get(ctx, e.ns, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		e.Errorf("namespace %s does not go: %v", e.ns, err)
	}
}

func (e *env) explain() {
	for _, pod := range e.pods("") {
		e.Logf("pod %s on %q: %s", pod.Name, pod.Spec.NodeName, unschedulable(&pod))
	}
	if text, err := e.cluster.Logs(localcluster.Dovetail); err == nil {
		lines := strings.Split(text, "\n")
		e.Logf("dovetail's last words:\n%s", strings.Join(lines[max(0, len(lines)-30):], "\n"))
	}
}

// group makes a PodGroup with the gang policy, or with the basic one if least is 0.
func (e *env) group(name string, least int32, change ...func(*schedulingv1beta1.PodGroup)) {
	e.Helper()
	group := &schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if least > 0 {
		group.Spec.SchedulingPolicy.Gang = &schedulingv1beta1.GangSchedulingPolicy{MinCount: least}
	} else {
		group.Spec.SchedulingPolicy.Basic = &schedulingv1beta1.BasicSchedulingPolicy{}
	}
	for _, edit := range change {
		edit(group)
	}
	if _, err := e.client.SchedulingV1beta1().PodGroups(e.ns).Create(e.Context(), group, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating PodGroup %s: %v", name, err)
	}
}

func key(label string) func(*schedulingv1beta1.PodGroup) {
	return func(group *schedulingv1beta1.PodGroup) {
		group.Spec.SchedulingConstraints = &schedulingv1beta1.PodGroupSchedulingConstraints{
			Topology: []schedulingv1beta1.TopologyConstraint{{Key: label}},
		}
	}
}

// members makes pods from the first number up to the last, each as large as a node.
func (e *env) members(group string, from, to int, change ...func(*corev1.Pod)) {
	e.Helper()
	for i := from; i < to; i++ {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", group, i), Labels: map[string]string{groupName: group}},
			Spec:       podSpec(),
		}
		pod.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &group}
		for _, edit := range change {
			edit(pod)
		}
		if _, err := e.client.CoreV1().Pods(e.ns).Create(e.Context(), pod, metav1.CreateOptions{}); err != nil {
			e.Fatalf("creating pod %s: %v", pod.Name, err)
		}
	}
}

func podSpec() corev1.PodSpec {
	grace := int64(0)
	return corev1.PodSpec{
		SchedulerName: "dovetail", TerminationGracePeriodSeconds: &grace, RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{
			Name: "main", Image: "registry.k8s.io/pause",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20")}},
		}},
	}
}

func of(group string) string { return groupName + "=" + group }

func ofAny(groups ...string) string { return groupName + " in (" + strings.Join(groups, ",") + ")" }

func (e *env) pods(selector string) []corev1.Pod {
	e.Helper()
	list, err := e.client.CoreV1().Pods(e.ns).List(context.Background(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("listing pods: %v", err)
	}
	return list.Items
}

func (e *env) bound(selector string) int {
	n := 0
	for _, pod := range e.pods(selector) {
		if pod.Spec.NodeName != "" {
			n++
		}
	}
	return n
}

func (e *env) eventually(what string, holds func() bool) {
	e.Helper()
	err := wait.PollUntilContextTimeout(e.Context(), pollStep, patience, true,
		func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		e.Fatalf("waited %v in vain: %s", patience, what)
	}
}

// never fails the test if something comes about within a few seconds.
func (e *env) never(what string, holds func() bool) {
	e.Helper()
	err := wait.PollUntilContextTimeout(e.Context(), pollStep, 3*time.Second, true,
		func(context.Context) (bool, error) { return holds(), nil })
	if err == nil {
		e.Error(what)
	}
}

func (e *env) whole(selector string, n int) {
	e.Helper()
	e.eventually(fmt.Sprintf("%d pods with %s are bound", n, selector), func() bool { return e.bound(selector) == n })
}

// refused waits until the group and n of its pods say why they wait, the group in
// Dovetail's sentence before anybody else's, and none is bound.
func (e *env) refused(group string, n int, sentence string) {
	e.Helper()
	e.eventually(fmt.Sprintf("%d pods of %s say %q", n, group, sentence), func() bool {
		said := 0
		for _, pod := range e.pods(of(group)) {
			if strings.Contains(unschedulable(&pod), sentence) {
				said++
			}
		}
		return said == n
	})
	e.eventually(fmt.Sprintf("PodGroup %s says %q", group, sentence), func() bool {
		return strings.HasPrefix(e.condition(group, metav1.ConditionFalse), "Unschedulable: "+sentence)
	})
	if n := e.bound(of(group)); n != 0 {
		e.Errorf("%d pods of %s are bound, want none", n, group)
	}
}

// condition is what the PodGroup says on being scheduled, "" if it does not have
// that status.
func (e *env) condition(group string, status metav1.ConditionStatus) string {
	e.Helper()
	found, err := e.client.SchedulingV1beta1().PodGroups(e.ns).Get(e.Context(), group, metav1.GetOptions{})
	if err != nil {
		e.Fatalf("reading PodGroup %s: %v", group, err)
	}
	c := meta.FindStatusCondition(found.Status.Conditions, "PodGroupInitiallyScheduled")
	if c == nil || c.Status != status {
		return ""
	}
	return c.Reason + ": " + c.Message
}

func unschedulable(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	return ""
}

// domains counts the bound pods by the value of a label of their nodes.
func (e *env) domains(selector, label string) map[string]int {
	e.Helper()
	seen := map[string]int{}
	for _, pod := range e.pods(selector) {
		if pod.Spec.NodeName == "" {
			continue
		}
		node, err := e.client.CoreV1().Nodes().Get(e.Context(), pod.Spec.NodeName, metav1.GetOptions{})
		if err != nil {
			e.Fatalf("reading the node of pod %s: %v", pod.Name, err)
		}
		seen[node.Labels[label]]++
	}
	return seen
}

func (e *env) removePod(name string) {
	e.Helper()
	if err := e.client.CoreV1().Pods(e.ns).Delete(e.Context(), name, metav1.DeleteOptions{}); err != nil {
		e.Fatalf("deleting pod %s: %v", name, err)
	}
}

func (e *env) remove(selector string) {
	e.Helper()
	err := e.client.CoreV1().Pods(e.ns).DeleteCollection(e.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("deleting pods with %s: %v", selector, err)
	}
}
