// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestPlannable(t *testing.T) {
	spread := func(when v1.UnsatisfiableConstraintAction) func(*v1.Pod) {
		return func(pod *v1.Pod) {
			pod.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{WhenUnsatisfiable: when}}
		}
	}
	tests := map[string]struct {
		edit func(*v1.Pod)
		want bool
	}{
		"no wish":             {func(*v1.Pod) {}, true},
		"a required spread":   {spread(v1.DoNotSchedule), true},
		"a preferred spread":  {spread(v1.ScheduleAnyway), false},
		"a nominated node":    {func(pod *v1.Pod) { pod.Status.NominatedNodeName = "n" }, false},
		"a required affinity": {func(pod *v1.Pod) { pod.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{}} }, true},
		"a preferred affinity": {func(pod *v1.Pod) {
			pod.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []v1.WeightedPodAffinityTerm{{Weight: 1}},
			}}
		}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pod := cpuPod("p", "1", "")
			tc.edit(pod)
			if got := Plannable(pod); got != tc.want {
				t.Errorf("plannable %v, want %v", got, tc.want)
			}
		})
	}
}

// A pod without devices is left to the ordinary cycle.
func TestPlaceSingleLeavesPodsWithoutDevices(t *testing.T) {
	f := newFixture(t)
	if node, err := f.placer.PlaceSingle(t.Context(), cpuPod("p", "1", ""), f.nodes, nil, nil); node != "" || err != nil {
		t.Errorf("node %q, %v, want none", node, err)
	}
}
