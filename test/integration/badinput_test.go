// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Each case creates a gang that cannot be placed as declared, and a healthy gang that must
// be placed all the same.
func TestBadInputSaysWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		group       bool
		min         int64
		annotations map[string]string
		change      func([]*corev1.Pod)
		want        string
	}{
		"minMember larger than the pods that exist": {
			group: true, min: 5, want: "waiting for 2 of 5 members of podgroup NS/bad: spec.minMember is 5, and 3 exist so far",
		},
		"no PodGroup": {
			want: "waiting for podgroup NS/bad, which does not exist",
		},
		"unknown topology level": {
			group: true, min: 3, annotations: map[string]string{levelRequired: "rack"},
			want: `annotation dovetail.dev/topology-required of podgroup NS/bad names level "rack"; the levels here are core, spine, leaf, node`,
		},
		"members of two schedulers": {
			group: true, min: 3,
			change: func(pods []*corev1.Pod) { pods[2].Spec.SchedulerName = "scheduler-plugins-scheduler" },
			want:   "members of podgroup NS/bad differ in spec.schedulerName, which must be the same in all: dovetail in pod bad-0, scheduler-plugins-scheduler in pod bad-2",
		},
		"members of two priorities": {
			group: true, min: 3,
			change: func(pods []*corev1.Pod) { pods[1].Spec.PriorityClassName = "system-node-critical" },
			want:   "members of podgroup NS/bad differ in spec.priority, which must be the same in all: 0 in pod bad-0, 2000001000 in pod bad-1",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := onGPUs(t)
			if test.group {
				e.podGroup("bad", test.min, test.annotations)
			}
			bad := members("bad", 3)
			if test.change != nil {
				test.change(bad)
			}
			e.createPods(bad...)
			e.podGroup("good", 3, nil)
			e.createPods(members("good", 3)...)
			e.Whole(groupLabel+"=good", 3)
			e.Refused(groupLabel+"=bad", 3, e.inNamespace(test.want))
			if test.group {
				e.Eventually("an event on the PodGroup says why", func() bool { return e.event("bad", e.inNamespace(test.want)) })
			}
		})
	}
}

// A member that another scheduler has bound must keep its gang from starting. The pods of
// Dovetail's scheduler must name it in their message. Dovetail must write nothing to the
// other scheduler's pod.
func TestMembersOfAForeignScheduler(t *testing.T) {
	e := onGPUs(t)
	e.podGroup("mixed", 3, nil)
	foreign := newPod("mixed-2", inGroup("mixed"))
	foreign.Spec.SchedulerName = "default-scheduler"
	foreign.Labels["whose"] = "theirs"
	e.createPods(foreign)
	e.Whole("whose=theirs", 1)
	ours := members("mixed", 2)
	for _, pod := range ours {
		pod.Labels["whose"] = "ours"
	}
	e.createPods(ours...)
	e.Refused("whose=ours", 2, e.inNamespace("members of podgroup NS/mixed differ in spec.schedulerName, which must be the same in all: "+
		"dovetail in pod mixed-0, default-scheduler in pod mixed-2"))
	if e.event("mixed-2", "schedulerName") {
		t.Error("an event on the other scheduler's pod speaks of ours")
	}
}

// The current CRD rejects a minMember of zero. Older CRDs accept it; then Dovetail must
// report it.
func TestPodGroupOfZero(t *testing.T) {
	e := onGPUs(t)
	if err := e.tryPodGroup("zero", 0, nil); err == nil || !strings.Contains(err.Error(), "spec.minMember") {
		t.Errorf("creating a PodGroup with minMember 0: %v, want the API server to name spec.minMember", err)
	}
	e.patchCRD(`[{"op": "remove", "path": "` + minMemberMinimum + `"}]`)
	t.Cleanup(func() { e.patchCRD(`[{"op": "add", "path": "` + minMemberMinimum + `", "value": 1}]`) })
	e.Eventually("the PodGroup CRD takes zero", func() bool { return e.tryPodGroup("zero", 0, nil) == nil })
	e.createPods(members("zero", 2)...)
	e.Refused(groupLabel+"=zero", 2, e.inNamespace("spec.minMember of podgroup NS/zero is 0"))
}

func TestPodGroupThatComesLateStartsItsPods(t *testing.T) {
	e := onGPUs(t)
	e.createPods(members("late", 3)...)
	e.Refused(groupLabel+"=late", 3, "which does not exist")
	e.podGroup("late", 3, nil)
	e.Whole(groupLabel+"=late", 3)
}

func TestRayClusterDeletedMidway(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.rayCluster(newRayCluster("wide", 17))
	e.Refused("ray.io/cluster=wide", 18, "gang raycluster "+e.Namespace+"/wide: ")
	e.remove(rayClusters, "wide")
	e.rayCluster(newRayCluster("next", 16))
	e.Whole("ray.io/cluster=next", 17)
}

// No plan may use a node that is cordoned or deleted. A plan must use a node as soon as it
// returns.
func TestNodesComeAndGo(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	nodes, err := e.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("listing nodes: %v", err)
	}
	e.Cordon(nodes.Items[0].Name, true)
	t.Cleanup(func() { e.Cordon(nodes.Items[0].Name, false) })
	e.rayCluster(newRayCluster("full", 16))
	e.Refused("ray.io/cluster=full", 17, "gang raycluster "+e.Namespace+"/full: ")
	e.Cordon(nodes.Items[0].Name, false)
	e.Whole("ray.io/cluster=full", 17)
}
