// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// An invalid declaration is reported in one sentence with the name of the field.
func TestWrongDeclarations(t *testing.T) {
	group := func(change func(*schedulingv1beta1.PodGroupSpec)) objects {
		g := kubernetesGroup(2)
		change(&g.Spec)
		return objects{kubernetes: with("a", g)}
	}
	volcano := func(minMember int32, tasks map[string]int32) objects {
		return objects{volcanos: with("a", volcanoGroup(minMember, tasks))}
	}
	suspendedSet := jobSet(replicated("w", 1, 1))
	suspendedSet.Spec.Suspend = ptr(true)
	deletedSet := jobSet(replicated("w", 1, 1))
	deletedSet.DeletionTimestamp = ptr(metav1.NewTime(epoch))
	suspendedJob := job("a", "uid-of-a", 2, nil)
	suspendedJob.Spec.Suspend = ptr(true)
	count := func(n string) change { return annotation("kueue.x-k8s.io/pod-group-total-count", n) }
	inPodGroup := label("kueue.x-k8s.io/pod-group-name", "a")
	inGang := label(gangs.GangNameLabel, "a")
	minimum := func(n string) change { return annotation(gangs.GangMinAnnotation, n) }

	tests := map[string]struct {
		objects objects
		pods    []*corev1.Pod
		want    string
	}{
		"Kubernetes' PodGroup with minCount 0": {
			objects: group(func(s *schedulingv1beta1.PodGroupSpec) { s.SchedulingPolicy.Gang.MinCount = 0 }),
			pods:    named("p", 2, schedulingGroup),
			want:    "spec.schedulingPolicy.gang.minCount of schedulinggroup ml/a is 0, but must be at least 1",
		},
		"Kubernetes' PodGroup with a topology": {
			objects: group(func(s *schedulingv1beta1.PodGroupSpec) {
				s.SchedulingConstraints = &schedulingv1beta1.PodGroupSchedulingConstraints{Topology: []schedulingv1beta1.TopologyConstraint{{Key: "rack"}}}
			}),
			pods: named("p", 2, schedulingGroup),
			want: "spec.schedulingConstraints.topology of schedulinggroup ml/a is not carried out while this scheduler's feature gate GenericWorkload is off; " +
				"annotation dovetail.dev/topology-required is",
		},
		"Kubernetes' PodGroup with a parent": {
			objects: group(func(s *schedulingv1beta1.PodGroupSpec) { s.ParentCompositePodGroupName = ptr("tree") }),
			pods:    named("p", 2, schedulingGroup),
			want:    "spec.parentCompositePodGroupName of schedulinggroup ml/a is not carried out while this scheduler's feature gate GenericWorkload is off",
		},
		"Kubernetes' PodGroup on a server that does not serve it": {
			objects: objects{failure: func(key gangs.Key) error {
				return &gangs.LookupError{Key: key, Reason: gangs.ErrNotInstalled, Detail: "scheduling.k8s.io/v1beta1"}
			}},
			pods: named("p", 2, schedulingGroup),
			want: "schedulinggroup ml/a cannot exist: scheduling.k8s.io/v1beta1, which the API server serves with feature gate GenericWorkload and --runtime-config, is not installed",
		},
		"Volcano's minMember 0": {
			objects: volcano(0, nil),
			pods:    volcanoPods("w", 1),
			want:    "spec.minMember of volcano ml/a is 0, but must be at least 1",
		},
		"Volcano's minTaskMember below 0": {
			objects: volcano(1, map[string]int32{"b": -1, "a": 1}),
			pods:    volcanoPods("w", 1),
			want:    "spec.minTaskMember[b] of volcano ml/a is -1, but must be at least 0",
		},
		"YuniKorn's list that is no JSON": {
			pods: yuniKornPods("x", 1, taskGroups("x=2")),
			want: "annotation yunikorn.apache.org/task-groups of pod x-0 of yunikorn ml/a is not a list of task groups: invalid character 'x' looking for beginning of value",
		},
		"YuniKorn's list with a group twice": {
			pods: yuniKornPods("x", 1, taskGroups(`[{"name":"x","minMember":1},{"name":"x","minMember":2}]`)),
			want: "annotation yunikorn.apache.org/task-groups of pod x-0 of yunikorn ml/a names x twice",
		},
		"YuniKorn's list with a group without a name": {
			pods: yuniKornPods("x", 1, taskGroups(`[{"minMember":1}]`)),
			want: "annotation yunikorn.apache.org/task-groups of pod x-0 of yunikorn ml/a has no name in [0]",
		},
		"YuniKorn's minMember below 0": {
			pods: yuniKornPods("x", 1, taskGroups(`[{"name":"x","minMember":-1}]`)),
			want: "annotation yunikorn.apache.org/task-groups of pod x-0 of yunikorn ml/a has minMember -1 in [0], but it must be at least 0",
		},
		"YuniKorn's list on no pod": {
			pods: yuniKornPods("x", 2),
			want: "no pod of yunikorn ml/a has annotation yunikorn.apache.org/task-groups, which says how many belong to it",
		},
		"a task group of no application": {
			pods: named("p", 1, annotation("yunikorn.apache.org/task-group-name", "x")),
			want: "pod p-0 of yunikorn ml/p-0 has annotation yunikorn.apache.org/task-group-name, but no label applicationId that names its application",
		},
		"Kueue's count is missing": {
			pods: named("p", 1, inPodGroup),
			want: "pods of kueue ml/a have no annotation kueue.x-k8s.io/pod-group-total-count, which says how many belong to it",
		},
		"Kueue's count is no number": {
			pods: named("p", 1, inPodGroup, count("many")),
			want: `annotation kueue.x-k8s.io/pod-group-total-count of pod p-0 of kueue ml/a is "many", but must be a number from 1`,
		},
		"Kueue's counts differ": {
			pods: append(named("p", 1, inPodGroup, count("2")), named("q", 1, inPodGroup, count("3"))...),
			want: `pods of kueue ml/a disagree in annotation kueue.x-k8s.io/pod-group-total-count: "2" on pod p-0, "3" on pod q-0`,
		},
		"a LeaderWorkerSet's size is 0": {
			pods: lwsPods(1, annotation("leaderworkerset.sigs.k8s.io/size", "0")),
			want: `annotation leaderworkerset.sigs.k8s.io/size of pod a-0 of leaderworkerset ml/a-0 is "0", but must be a number from 1`,
		},
		"a suspended JobSet": {
			objects: objects{jobSets: with("a", suspendedSet)},
			pods:    jobSetPods("w", 1, 1),
			want:    "jobset ml/a is suspended: spec.suspend is true",
		},
		"a JobSet on its way out": {
			objects: objects{jobSets: with("a", deletedSet)},
			pods:    jobSetPods("w", 1, 1),
			want:    "jobset ml/a is being deleted",
		},
		"a suspended Job": {
			objects: objects{jobs: with("a", suspendedJob)},
			pods:    []*corev1.Pod{jobPod(0, label(gangs.GangAnnotation, "true"))},
			want:    "job ml/a is suspended: spec.suspend is true",
		},
		"a mark on a pod template that is neither": {
			objects: objects{jobs: with("a", job("a", "uid-of-a", 2, nil))},
			pods:    []*corev1.Pod{jobPod(0, annotation(gangs.GangAnnotation, "True"))},
			want:    `annotation dovetail.dev/gang of pod a-0 of job ml/a is "True", but must be "true" or "false"`,
		},
		"a gang by label without a minimum": {
			pods: named("p", 1, inGang),
			want: "pods of ganglabel ml/a have no annotation dovetail.dev/gang-min, which says how many belong to it",
		},
		"a gang by label with minimum 0": {
			pods: named("p", 1, inGang, minimum("0")),
			want: `annotation dovetail.dev/gang-min of pod p-0 of ganglabel ml/a is "0", but must be a number from 1`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, look(t, tc.objects.sources(), tc.pods).Says); diff != "" {
				t.Errorf("sentence (-want,+got):\n%s", diff)
			}
		})
	}
}

// Each role of a Volcano PodGroup has its own minimum, and the rest of the quorum goes to
// the other existing members.
func TestRolesOfVolcanoPodGroup(t *testing.T) {
	tests := map[string]struct {
		minMember int32
		tasks     map[string]int32
		pods      []*corev1.Pod
		want      []gangs.Role
		min       int
	}{
		"without tasks": {
			minMember: 2,
			pods:      append(volcanoPods("a", 1), volcanoPods("b", 2)...),
			want:      []gangs.Role{{Name: "a", Min: 1, Want: 1}, {Name: "b", Min: 1, Want: 2}},
			min:       2,
		},
		"tasks that make up the quorum": {
			minMember: 3,
			tasks:     map[string]int32{"a": 1, "b": 2},
			pods:      append(volcanoPods("a", 3), volcanoPods("b", 1)...),
			want:      []gangs.Role{{Name: "a", Min: 1, Want: 3}, {Name: "b", Min: 2, Want: 2}},
			min:       3,
		},
		"tasks that are part of it": {
			minMember: 4,
			tasks:     map[string]int32{"b": 1},
			pods:      append(volcanoPods("a", 2), volcanoPods("b", 2)...),
			want:      []gangs.Role{{Name: "a", Min: 2, Want: 2}, {Name: "b", Min: 2, Want: 2}},
			min:       4,
		},
		"tasks that ask for more": {
			minMember: 1,
			tasks:     map[string]int32{"a": 2, "b": 2},
			want:      []gangs.Role{{Name: "a", Min: 2, Want: 2}, {Name: "b", Min: 2, Want: 2}},
			min:       4,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sources := objects{volcanos: with("a", volcanoGroup(tc.minMember, tc.tasks))}.sources()
			key := gangs.VolcanoKey("ml", "a")
			g, err := sources.Gang(key, membersOf(sources, key, tc.pods))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, g.Roles); diff != "" {
				t.Errorf("roles (-want,+got):\n%s", diff)
			}
			if g.Min != tc.min {
				t.Errorf("min: want %d, got %d", tc.min, g.Min)
			}
		})
	}
}
