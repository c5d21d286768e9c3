// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// If Kubernetes' Job controller creates PodGroups, every Job has one with the basic policy,
// which guarantees nothing.
func TestTrapBasicPodGroup(t *testing.T) {
	basic := kubernetesGroup(1)
	basic.Spec.SchedulingPolicy = schedulingv1beta1.PodGroupSchedulingPolicy{Basic: &schedulingv1beta1.BasicSchedulingPolicy{}}
	play(t, map[string]scene{
		"its pods are in no gang": {
			objects: objects{kubernetes: with("a", basic)},
			pods:    named("p", 1, schedulingGroup),
			want:    outlook{Alone: []string{"p-0"}},
		},
		"one that is not there yet may be a gang": {
			pods: named("p", 1, schedulingGroup),
			want: outlook{Key: "schedulinggroup ml/a", Says: "schedulinggroup ml/a does not exist"},
		},
		"one of the policy gang is one": {
			objects: objects{kubernetes: with("a", kubernetesGroup(2))},
			pods:    named("p", 3, schedulingGroup),
			want:    outlook{Key: "schedulinggroup ml/a", Starts: map[string]int{"pods": 3}, Must: 2},
		},
	})
}

func TestTrapKueueGate(t *testing.T) {
	inPodGroup := []change{label("kueue.x-k8s.io/pod-group-name", "a"), annotation("kueue.x-k8s.io/pod-group-total-count", "3")}
	play(t, map[string]scene{
		"pods that Kueue holds do not count as there": {
			pods: append(named("p", 2, inPodGroup...), pod("q", append(inPodGroup, gated)...)),
			want: outlook{Key: "kueue ml/a", Says: "waiting for 1 of 3 members of kueue ml/a: pod q has scheduling gate kueue.x-k8s.io/admission"},
		},
		"admitted, they start together": {
			pods: named("p", 3, inPodGroup...),
			want: outlook{Key: "kueue ml/a", Starts: map[string]int{"pods": 3}, Must: 3},
		},
	})
}

func TestTrapKueueFastAdmission(t *testing.T) {
	inPodGroup := []change{
		label("kueue.x-k8s.io/pod-group-name", "a"), annotation("kueue.x-k8s.io/pod-group-total-count", "3"),
		annotation("kueue.x-k8s.io/pod-group-fast-admission", "true"),
	}
	play(t, map[string]scene{
		"the pods of a StatefulSet come one after another": {
			pods: named("p", 1, inPodGroup...),
			want: outlook{Alone: []string{"p-0"}},
		},
		"those of a LeaderWorkerSet are its gang": {
			pods: lwsPods(4, inPodGroup...),
			want: outlook{Key: "leaderworkerset ml/a-0", Starts: map[string]int{"leader": 1, "worker": 3}, Must: 4},
		},
	})
}

// KubeRay writes the list of task groups when it creates a pod, and never updates it.
func TestTrapYuniKornStaleList(t *testing.T) {
	before, after := `[{"name":"x","minMember":4}]`, `[{"name":"x","minMember":2}]`
	play(t, map[string]scene{
		"the youngest pod knows best": {
			pods: append(yuniKornPods("x", 2, taskGroups(before)), yuniKornPods("x", 1, taskGroups(after), func(p *corev1.Pod) { p.Name = "young" }, created(time.Minute))...),
			want: outlook{Key: "yunikorn ml/a", Starts: map[string]int{"x": 3}, Must: 2},
		},
		"one pod with a list is enough": {
			pods: append(yuniKornPods("x", 1), yuniKornPods("x", 1, taskGroups(after), func(p *corev1.Pod) { p.Name = "only" })...),
			want: outlook{Key: "yunikorn ml/a", Starts: map[string]int{"x": 2}, Must: 2},
		},
	})
}

// A pod with the labels and annotations of several sources is only in the gang of the first
// source.
func TestTrapGangedTwice(t *testing.T) {
	marks := []change{
		annotation("yunikorn.apache.org/task-group-name", "x"), taskGroups(`[{"name":"x","minMember":1}]`), label("applicationId", "a"),
		label("kueue.x-k8s.io/pod-group-name", "a"), annotation("kueue.x-k8s.io/pod-group-total-count", "1"),
		label(gangs.GangNameLabel, "a"), annotation(gangs.GangMinAnnotation, "1"),
		annotation("scheduling.k8s.io/group-name", "a"), inGroup("a"), schedulingGroup,
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"all marks":                    {jobSetPod("w", 0, 0, marks...), "schedulinggroup ml/a"},
		"all but Kubernetes' own":      {jobSetPod("w", 0, 0, marks[:9]...), "podgroup ml/a"},
		"all but the labels of groups": {jobSetPod("w", 0, 0, marks[:8]...), "volcano ml/a"},
		"YuniKorn's and later ones":    {jobSetPod("w", 0, 0, marks[:7]...), "yunikorn ml/a"},
		"Kueue's and later ones":       {jobSetPod("w", 0, 0, marks[3:7]...), "kueue ml/a"},
		"JobSet's and Dovetail's":      {jobSetPod("w", 0, 0, marks[5:7]...), "jobset ml/a"},
		"a Job's and Dovetail's":       {jobPod(0, append(marks[5:7:7], label(gangs.GangAnnotation, "true"))...), "job ml/a"},
		"Dovetail's alone":             {pod("p", marks[5:7]...), "ganglabel ml/a"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			key, _ := objects{}.sources().Key(tc.pod)
			if key.String() != tc.want {
				t.Errorf("the pod is in %s, want %s", key, tc.want)
			}
		})
	}
}

// A StatefulSet creates its pods in order unless it says otherwise: the second pod does not
// exist before the first one runs, and the gang waits for both.
func TestStatefulSetCreatesPodsInOrder(t *testing.T) {
	member := func(name, set string, changes ...change) *corev1.Pod {
		return pod(name, append([]change{
			label(gangs.GangNameLabel, "a"), annotation(gangs.GangMinAnnotation, "3"), controlledBy("apps/v1", "StatefulSet", set, types.UID(set)),
		}, changes...)...)
	}
	const ordered = "; StatefulSet db creates one pod after the other unless its spec.podManagementPolicy is Parallel"
	for name, tc := range map[string]struct {
		pods []*corev1.Pod
		want bool
	}{
		"the first pod waits":                 {[]*corev1.Pod{member("db-0", "db")}, true},
		"the first runs and the second waits": {[]*corev1.Pod{member("db-0", "db", bound), member("db-1", "db")}, true},
		"two pods wait":                       {[]*corev1.Pod{member("db-0", "db"), member("db-1", "db")}, false},
		"nothing waits":                       {[]*corev1.Pod{member("db-0", "db", bound)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			waiting := verdict(t, objects{}.sources(), gangs.Key{Source: "ganglabel", Namespace: tc.pods[0].Namespace, Name: "a"}, tc.pods).Waiting
			if got := strings.HasSuffix(waiting, ordered); got != tc.want {
				t.Errorf("the hint is there: %v, want %v: %s", got, tc.want, waiting)
			}
		})
	}
}
