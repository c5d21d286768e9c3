// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package singlepods

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// nodes is the size of the fleet. One pod of the tests fills a node.
const nodes = 4

var shared = harness.Share(func() (localcluster.Options, error) {
	spec, err := fleet.Parse("shape=ndh100v5,spines=1,leaves=1,nodes=4")
	return localcluster.Options{
		Fleets: []fleet.Spec{spec}, Out: os.Stderr,
		FeatureGates: "GenericWorkload=true,TopologyAwareWorkloadScheduling=true,CompositePodGroup=true",
	}, err
}, nil)

// TestMain stops the shared cluster, if a test started it.
func TestMain(m *testing.M) { shared.Main(m) }

type env struct{ *harness.Env }

func newEnv(t *testing.T) *env {
	t.Helper()
	e := &env{harness.New(t, shared.Cluster(t), harness.Options{Prefix: "preemption-"})}
	for _, value := range []int32{1, 10, 1000} {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", value)}, Value: value}
		if _, err := e.Client.SchedulingV1().PriorityClasses().Create(e.Context(), class, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			e.Fatalf("creating PriorityClass %s: %v", class.Name, err)
		}
	}
	return e
}

type change func(*corev1.Pod)

func labels(pairs ...string) change {
	return func(p *corev1.Pod) {
		for i := 0; i < len(pairs); i += 2 {
			metav1.SetMetaDataLabel(&p.ObjectMeta, pairs[i], pairs[i+1])
		}
	}
}

func annotations(pairs ...string) change {
	return func(p *corev1.Pod) {
		for i := 0; i < len(pairs); i += 2 {
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, pairs[i], pairs[i+1])
		}
	}
}

// priority sets the pod's priority.
func priority(value int) change {
	return func(p *corev1.Pod) { p.Spec.PriorityClassName = fmt.Sprintf("p%d", value) }
}

// pod creates a pod that fills a node. Its label pod is its name.
func (e *env) pod(name string, changes ...change) *corev1.Pod {
	e.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod": name}},
		Spec: corev1.PodSpec{
			SchedulerName: "dovetail", TerminationGracePeriodSeconds: ptr.To[int64](0), RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("60")},
			}}},
		},
	}
	for _, change := range changes {
		change(pod)
	}
	created, err := e.Client.CoreV1().Pods(e.Namespace).Create(e.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		e.Fatalf("creating pod %s: %v", name, err)
	}
	return created
}

// single creates a pod and waits until it has a node.
func (e *env) single(name string, changes ...change) *corev1.Pod {
	e.Helper()
	pod := e.pod(name, changes...)
	e.bound(name)
	return pod
}

func (e *env) bound(name string) {
	e.Helper()
	e.Until("pod "+name+" has a node", func(ctx context.Context) string {
		pod, err := e.Client.CoreV1().Pods(e.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil || pod.Spec.NodeName != "" {
			return harness.Text(err)
		}
		return "it has none: " + harness.Unschedulable(pod)
	})
}

// running returns the pods with a node, by UID.
func (e *env) running() map[types.UID]*corev1.Pod {
	e.Helper()
	found := map[types.UID]*corev1.Pod{}
	pods := e.Pods("")
	for i := range pods {
		if pods[i].Spec.NodeName != "" && pods[i].DeletionTimestamp == nil {
			found[pods[i].UID] = &pods[i]
		}
	}
	return found
}

// gone waits until the pods have ended.
func (e *env) gone(pods ...types.UID) {
	e.Helper()
	e.Until(fmt.Sprintf("%d pods end", len(pods)), func(context.Context) string {
		running := e.running()
		var left []string
		for _, uid := range pods {
			if pod := running[uid]; pod != nil {
				left = append(left, pod.Name)
			}
		}
		return strings.Join(left, " ")
	})
}

// stay checks that the pods still run.
func (e *env) stay(pods ...types.UID) {
	e.Helper()
	running := e.running()
	for _, uid := range pods {
		if running[uid] == nil {
			e.Errorf("a pod that must stay has ended: %s", uid)
		}
	}
}

// preempted checks that an event on the pod says for whom it ended.
func (e *env) preempted(name, sentence string) {
	e.Helper()
	e.Until("an event on "+name, func(context.Context) string {
		events := e.Events()
		for _, event := range events {
			if strings.HasPrefix(event, "Pod "+name+": Preempted: ") && strings.Contains(event, sentence) {
				return ""
			}
		}
		return strings.Join(events, "\n")
	})
}

// install creates the definition of a kind that no module here defines.
func (e *env) install(resource schema.GroupVersionResource, kind string) {
	e.Helper()
	definition := harness.LooseDefinition(e.T, resource.GroupResource(), kind, resource.Version)
	if _, err := e.Of(harness.Definitions).Create(e.Context(), definition, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		e.Fatalf("installing %s: %v", kind, err)
	}
	e.Until(kind+" is served", func(ctx context.Context) string {
		_, err := e.Of(resource).List(ctx, metav1.ListOptions{})
		return harness.Text(err)
	})
}

// refused returns a condition of Until: a scheduler has refused the pod.
func (e *env) refused(name string) func(context.Context) string {
	return func(ctx context.Context) string {
		pod, err := e.Client.CoreV1().Pods(e.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err != nil:
			return harness.Text(err)
		case harness.Unschedulable(pod) == "":
			return "the pod is not refused"
		}
		return ""
	}
}
