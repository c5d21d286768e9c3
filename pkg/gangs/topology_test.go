// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

func required(level string) change  { return annotation(gangs.RequiredAnnotation, level) }
func preferred(level string) change { return annotation(gangs.PreferredAnnotation, level) }

func TestTopologyOfObjectAndPods(t *testing.T) {
	type answer struct {
		Gang, Workers gangs.Topology
		Problem       string
	}
	tests := map[string]struct {
		object map[string]string
		pods   []*corev1.Pod
		want   answer
	}{
		"nobody wishes": {
			pods: append(manyWorkers("w", 2), head("h")),
		},
		"the object's wish is the gang's": {
			object: map[string]string{gangs.RequiredAnnotation: "leaf", gangs.PreferredAnnotation: "rack"},
			pods:   append(manyWorkers("w", 2), head("h")),
			want:   answer{Gang: gangs.Topology{Required: "leaf", Preferred: "rack"}},
		},
		"how devices belong together is the object's to say for all, and each pod's for itself": {
			object: map[string]string{gangs.AlignmentAnnotation: "required"},
			pods:   append(manyWorkers("w", 2, annotation(gangs.AlignmentAnnotation, "none")), head("h")),
			want:   answer{Gang: gangs.Topology{Alignment: "required"}},
		},
		"a wish in every template is the gang's": {
			pods: append(manyWorkers("w", 2, required("leaf")), head("h", required("leaf"))),
			want: answer{Gang: gangs.Topology{Required: "leaf"}},
		},
		"a wish in the worker template is the workers' alone": {
			pods: append(manyWorkers("w", 2, required("leaf")), head("h")),
			want: answer{Workers: gangs.Topology{Required: "leaf"}},
		},
		"a wish in the head template can only be the gang's": {
			pods: append(manyWorkers("w", 2), head("h", preferred("leaf"))),
			want: answer{Gang: gangs.Topology{Preferred: "leaf"}},
		},
		"workers may wish for a smaller level than their gang": {
			object: map[string]string{gangs.RequiredAnnotation: "spine"},
			pods:   append(manyWorkers("w", 2, required("leaf")), head("h")),
			want:   answer{Gang: gangs.Topology{Required: "spine"}, Workers: gangs.Topology{Required: "leaf"}},
		},
		"head and workers wish differently": {
			pods: append(manyWorkers("w", 2, required("leaf")), head("h", required("spine"))),
			want: answer{Gang: gangs.Topology{Required: "spine"}, Workers: gangs.Topology{Required: "leaf"}},
		},
		"the object comes before the head": {
			object: map[string]string{gangs.RequiredAnnotation: "spine"},
			pods:   append(manyWorkers("w", 2), head("h", required("leaf"))),
			want:   answer{Gang: gangs.Topology{Required: "spine"}},
		},
		"what a pod repeats of the object says nothing new": {
			object: map[string]string{gangs.RequiredAnnotation: "leaf"},
			pods:   append(manyWorkers("w", 2, required("leaf")), head("h")),
			want:   answer{Gang: gangs.Topology{Required: "leaf"}},
		},
		"one worker of two says it for both": {
			pods: append(manyWorkers("w", 1, preferred("leaf")), worker("z", "w"), head("h")),
			want: answer{Workers: gangs.Topology{Preferred: "leaf"}},
		},
		"required and preferred go different ways": {
			pods: append(manyWorkers("w", 2, required("leaf"), preferred("rack")), head("h", preferred("rack"))),
			want: answer{Gang: gangs.Topology{Preferred: "rack"}, Workers: gangs.Topology{Required: "leaf"}},
		},
		"members that are gone wish nothing": {
			pods: append(manyWorkers("w", 2, required("leaf")), head("h", required("leaf")), worker("z", "w", required("spine"), failed)),
			want: answer{Gang: gangs.Topology{Required: "leaf"}},
		},
		"a worker whose sibling is still to come does not speak for the gang": {
			pods: append(manyWorkers("w", 1, required("leaf")), head("h")),
			want: answer{Workers: gangs.Topology{Required: "leaf"}},
		},
		"two workers contradict each other": {
			pods: append(manyWorkers("w", 2, required("leaf")), worker("z", "w", required("spine")), head("h")),
			want: answer{Problem: `members of raycluster ml/a contradict each other in annotation dovetail.dev/topology-required: ` +
				`"leaf" on pod w-0, "spine" on pod z`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cluster := rayCluster(workers("w", 2))
			cluster.Annotations = tc.object
			sources := clusterOnly(cluster).sources()
			g, err := sources.Gang(rayKey, membersOf(sources, rayKey, tc.pods))
			if err != nil {
				t.Fatalf("Gang: %v", err)
			}
			role, _ := g.Role("w")
			if diff := cmp.Diff(tc.want, answer{g.Topology, role.Topology, g.Problem}); diff != "" {
				t.Errorf("topology (-want,+got):\n%s", diff)
			}
		})
	}
}

// The constraint of the head becomes the gang's. The same constraint on a worker group is
// then cleared, and a third group need not repeat it.
func TestTopologyOfOneRoleAndTheGang(t *testing.T) {
	sources := clusterOnly(rayCluster(workers("a", 2), workers("z", 2))).sources()
	pods := slices.Concat(manyWorkers("a", 2, required("leaf")), manyWorkers("z", 2), []*corev1.Pod{head("h", required("leaf"))})
	g, err := sources.Gang(rayKey, membersOf(sources, rayKey, pods))
	if err != nil {
		t.Fatalf("Gang: %v", err)
	}
	if want := (gangs.Topology{Required: "leaf"}); g.Topology != want {
		t.Errorf("gang: want %v, got %v", want, g.Topology)
	}
	for _, r := range g.Roles {
		if r.Topology != (gangs.Topology{}) {
			t.Errorf("role %s still has a wish of its own: %v", r.Name, r.Topology)
		}
	}
}

// Two roles of one pod each, in a hand-written PodGroup, set different levels for the gang.
func TestTopologyContradictionBetweenLonePods(t *testing.T) {
	sources := groupOnly(podGroup(3)).sources()
	pods := []*corev1.Pod{
		pod("p", inGroup("a"), part("launcher"), required("leaf")),
		pod("q", inGroup("a"), part("master"), required("spine")),
		pod("r", inGroup("a"), part("worker")),
	}
	g, err := sources.Gang(groupKey, membersOf(sources, groupKey, pods))
	if err != nil {
		t.Fatalf("Gang: %v", err)
	}
	want := `members of podgroup ml/a contradict each other in annotation dovetail.dev/topology-required: "leaf" on pod p, "spine" on pod q`
	if diff := cmp.Diff(want, g.Problem); diff != "" {
		t.Errorf("problem (-want,+got):\n%s", diff)
	}
}
