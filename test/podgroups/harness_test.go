// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// allGates are those of the PodGroup API and of what is built on it.
	allGates = "GenericWorkload=true,TopologyAwareWorkloadScheduling=true,CompositePodGroup=true,DRAWorkloadResourceClaims=true,WorkloadWithJob=true"
	// nodes is the size of the fleet. One test pod fills a node.
	nodes     = 20
	perLeaf   = 5
	groupName = "group"
)

// shared has a scheduler that makes 50 requests a second, so that kills come between bindings.
var shared = harness.Share(func() (localcluster.Options, error) {
	spec, err := fleet.Parse("shape=plain,spines=2,leaves=2,nodes=5")
	if err != nil {
		return localcluster.Options{}, err
	}
	config, err := harness.SlowConfig(50)
	return localcluster.Options{
		FeatureGates: allGates, Fleets: []fleet.Spec{spec}, Without: []string{localcluster.KubeRay},
		DovetailConfig: config,
	}, err
}, nil)

// TestMain stops the shared clusters that tests started.
func TestMain(m *testing.M) { shared.Main(m) }

// env is one test's namespace in a cluster.
type env struct {
	*harness.Env
	// removals counts the calls of RemovePods.
	removals int
}

// newEnv returns a namespace in a shared cluster, which the test has for itself. Other tests
// run at the same time: most of a test's time is waiting.
func newEnv(t *testing.T) *env {
	t.Helper()
	t.Parallel()
	return inCluster(t, shared.Cluster(t))
}

func inCluster(t *testing.T, cluster *localcluster.Cluster) *env {
	t.Helper()
	return &env{Env: harness.New(t, cluster, harness.Options{Prefix: "native-"})}
}

// RemovePods deletes the pods that match. KWOK deletes a terminating pod by its name, even
// after the API server has removed it. So members gets new names after a removal, or KWOK
// could delete a new pod in place of the old one.
func (e *env) RemovePods(selector string) {
	e.Helper()
	e.removals++
	e.Env.RemovePods(selector)
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
	if _, err := e.Client.SchedulingV1beta1().PodGroups(e.Namespace).Create(e.Context(), group, metav1.CreateOptions{}); err != nil {
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

// memberName returns the name of a member, which no pod had before the last removal.
func (e *env) memberName(group string, i int) string {
	if e.removals == 0 {
		return fmt.Sprintf("%s-%d", group, i)
	}
	return fmt.Sprintf("%s-%d-%d", group, e.removals, i)
}

// members makes pods from the first number up to the last, each as large as a node.
func (e *env) members(group string, from, to int, change ...func(*corev1.Pod)) {
	e.Helper()
	for i := from; i < to; i++ {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: e.memberName(group, i), Labels: map[string]string{groupName: group}},
			Spec:       podSpec(),
		}
		pod.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &group}
		for _, edit := range change {
			edit(pod)
		}
		if _, err := e.Client.CoreV1().Pods(e.Namespace).Create(e.Context(), pod, metav1.CreateOptions{}); err != nil {
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

// refused waits until the group and n of its pods carry the reason for which they wait, the
// group in Dovetail's sentence before any other, and none is bound.
func (e *env) refused(group string, n int, sentence string) {
	e.Helper()
	e.Waiting(of(group), n, sentence)
	e.Until(fmt.Sprintf("PodGroup %s says %q", group, sentence), func(context.Context) string {
		if said := e.condition(group, metav1.ConditionFalse); !strings.HasPrefix(said, "Unschedulable: "+sentence) {
			return fmt.Sprintf("it says %q", said)
		}
		return ""
	})
	if n := e.Bound(of(group)); n != 0 {
		e.Errorf("%d pods of %s are bound, want none", n, group)
	}
}

// condition is what the PodGroup says on being scheduled, "" if it does not have
// that status.
func (e *env) condition(group string, status metav1.ConditionStatus) string {
	e.Helper()
	found, err := e.Client.SchedulingV1beta1().PodGroups(e.Namespace).Get(e.Context(), group, metav1.GetOptions{})
	if err != nil {
		e.Fatalf("reading PodGroup %s: %v", group, err)
	}
	c := meta.FindStatusCondition(found.Status.Conditions, "PodGroupInitiallyScheduled")
	if c == nil || c.Status != status {
		return ""
	}
	return c.Reason + ": " + c.Message
}
