// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

func claimFrom(template string) change {
	return func(p *corev1.Pod) {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: template, ResourceClaimTemplateName: &template})
	}
}

func generated(name string, claim *string) change {
	return func(p *corev1.Pod) {
		p.Status.ResourceClaimStatuses = append(p.Status.ResourceClaimStatuses, corev1.PodResourceClaimStatus{Name: name, ResourceClaimName: claim})
	}
}

func TestCheckOfRayCluster(t *testing.T) {
	full := func(changes ...change) []*corev1.Pod {
		return append(manyWorkers("workers", 7, changes...), head("head", changes...))
	}
	tests := map[string]struct {
		pods []*corev1.Pod
		want gangs.Readiness
	}{
		"all there and ready": {
			pods: full(),
			want: gangs.Readiness{Exist: 8, Ready: 8},
		},
		"all placed": {
			pods: full(bound),
			want: gangs.Readiness{Exist: 8, Ready: 8, Placed: 8},
		},
		"some do not exist yet": {
			pods: manyWorkers("workers", 5),
			want: gangs.Readiness{Exist: 5, Ready: 5, Waiting: "waiting for 3 of 8 members of raycluster ml/a: 1 of role headgroup, 2 of role workers do not exist yet"},
		},
		"more workers do not stand in for a head": {
			pods: manyWorkers("workers", 9),
			want: gangs.Readiness{Exist: 7, Ready: 7, Waiting: "waiting for 1 of 8 members of raycluster ml/a: 1 of role headgroup do not exist yet"},
		},
		"workers of a group that the cluster no longer has do not count": {
			pods: append(manyWorkers("removed", 7), head("head")),
			want: gangs.Readiness{Exist: 1, Ready: 1, Waiting: "waiting for 7 of 8 members of raycluster ml/a: 7 of role workers do not exist yet"},
		},
		"failed members and those being deleted are not there": {
			pods: append(manyWorkers("workers", 5), head("head"), worker("f", "workers", failed), worker("d", "workers", bound, deleted)),
			want: gangs.Readiness{Exist: 6, Ready: 6, Waiting: "waiting for 2 of 8 members of raycluster ml/a: 2 of role workers do not exist yet; pod d is terminating and still uses node n1"},
		},
		"several are terminating, and one of them has ended": {
			pods: append(manyWorkers("workers", 4), head("head"), worker("e", "workers", bound, deleted),
				worker("d", "workers", bound, deleted), worker("c", "workers", succeeded, deleted), worker("b", "workers", deleted)),
			want: gangs.Readiness{Exist: 5, Ready: 5, Waiting: "waiting for 3 of 8 members of raycluster ml/a: 3 of role workers do not exist yet; pod d is terminating and still uses node n1, and 1 more are"},
		},
		"pods of an earlier RayCluster of the same name are not members": {
			pods: append(manyWorkers("workers", 7, controlledBy("ray.io/v1", "RayCluster", "a", "uid-before")), head("head")),
			want: gangs.Readiness{Exist: 1, Ready: 1, Waiting: "waiting for 7 of 8 members of raycluster ml/a: 7 of role workers do not exist yet"},
		},
		"one is gated": {
			pods: append(manyWorkers("workers", 7), head("head", gated)),
			want: gangs.Readiness{Exist: 8, Ready: 7, Waiting: "waiting for 1 of 8 members of raycluster ml/a: pod head has scheduling gate kueue.x-k8s.io/admission"},
		},
		"claims are not generated yet": {
			pods: full(claimFrom("eight-gpus")),
			want: gangs.Readiness{Exist: 8, Waiting: "waiting for 8 of 8 members of raycluster ml/a: pod head has no ResourceClaim made from template eight-gpus yet, and 7 more are not ready"},
		},
		"claims are generated, or found not to be needed": {
			pods: full(claimFrom("eight-gpus"), generated("eight-gpus", ptr("c")), claimFrom("nics"), generated("nics", nil)),
			want: gangs.Readiness{Exist: 8, Ready: 8},
		},
		"a surplus worker that is not ready holds nobody up": {
			pods: append(full(), worker("z", "workers", gated)),
			want: gangs.Readiness{Exist: 8, Ready: 8},
		},
		"the example is of the role that is short": {
			pods: append(manyWorkers("workers", 7), worker("a", "workers", gated), head("head", claimFrom("one-gpu"))),
			want: gangs.Readiness{Exist: 8, Ready: 7, Waiting: "waiting for 1 of 8 members of raycluster ml/a: pod head has no ResourceClaim made from template one-gpu yet"},
		},
		"one names another scheduler": {
			pods: append(manyWorkers("workers", 7), head("head", scheduler("default-scheduler"))),
			want: gangs.Readiness{Exist: 8, Ready: 8, Problem: "members of raycluster ml/a differ in spec.schedulerName, which must be the same in all: " +
				"default-scheduler in pod head, dovetail in pod workers-0"},
		},
		"one has another priority": {
			pods: append(manyWorkers("workers", 7), head("head", priority(1000))),
			want: gangs.Readiness{Exist: 8, Ready: 8, Problem: "members of raycluster ml/a differ in spec.priority, which must be the same in all: " +
				"1000 in pod head, 0 in pod workers-0"},
		},
		"priority 0 and none are the same": {
			pods: append(manyWorkers("workers", 7, priority(0)), head("head")),
			want: gangs.Readiness{Exist: 8, Ready: 8},
		},
		"a problem is told before what is waited for": {
			pods: []*corev1.Pod{head("head"), worker("w", "workers", scheduler("other"))},
			want: gangs.Readiness{Exist: 2, Ready: 2, Problem: "members of raycluster ml/a differ in spec.schedulerName, which must be the same in all: " +
				"dovetail in pod head, other in pod w"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sources := clusterOnly(rayCluster(workers("workers", 7))).sources()
			if diff := cmp.Diff(tc.want, verdict(t, sources, rayKey, tc.pods)); diff != "" {
				t.Errorf("verdict (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestReady(t *testing.T) {
	tests := map[string]struct {
		change change
		want   string
	}{
		"a plain pod":     {change: func(*corev1.Pod) {}},
		"one with a gate": {change: gated, want: "has scheduling gate kueue.x-k8s.io/admission"},
		"one on its way out": {
			change: deleted,
			want:   "is being deleted",
		},
		"one whose second claim is missing": {
			change: func(p *corev1.Pod) {
				claimFrom("gpus")(p)
				generated("gpus", ptr("c"))(p)
				claimFrom("nics")(p)
			},
			want: "has no ResourceClaim made from template nics yet",
		},
		"one that names a claim itself": {
			change: func(p *corev1.Pod) {
				p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "shared", ResourceClaimName: ptr("c")}}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := pod("p", tc.change)
			if diff := cmp.Diff(tc.want, gangs.NotReady(p)); diff != "" {
				t.Errorf("not ready (-want,+got):\n%s", diff)
			}
			if got := gangs.Ready(p); got != (tc.want == "") {
				t.Errorf("ready: %v", got)
			}
		})
	}
}

func TestCheckOfPodGroup(t *testing.T) {
	tests := map[string]struct {
		minMember int32
		pods      []*corev1.Pod
		want      gangs.Readiness
	}{
		"minMember larger than the pods there are": {
			minMember: 8,
			pods:      manyInGroup(5),
			want:      gangs.Readiness{Exist: 5, Ready: 5, Waiting: "waiting for 3 of 8 members of podgroup ml/a: spec.minMember is 8, and 5 exist so far"},
		},
		"minMember smaller than the pods there are": {
			minMember: 3,
			pods:      manyInGroup(5),
			want:      gangs.Readiness{Exist: 3, Ready: 3},
		},
		"minMember zero": {
			minMember: 0,
			pods:      manyInGroup(5),
			want:      gangs.Readiness{Problem: "spec.minMember of podgroup ml/a is 0, but must be at least 1"},
		},
		"a quorum of ready members beside gated ones": {
			minMember: 3,
			pods:      append(manyInGroup(3), pod("z", inGroup("a"), gated), pod("0", inGroup("a"), gated, part("other"))),
			want:      gangs.Readiness{Exist: 3, Ready: 3},
		},
		"members of another gang do not count": {
			minMember: 3,
			pods:      append(manyInGroup(2), pod("z", inGroup("b"))),
			want:      gangs.Readiness{Exist: 2, Ready: 2, Waiting: "waiting for 1 of 3 members of podgroup ml/a: spec.minMember is 3, and 2 exist so far"},
		},
		"finished members keep the quorum": {
			minMember: 5,
			pods:      append(manyInGroup(3, bound), pod("x", inGroup("a"), succeeded), pod("y", inGroup("a"), succeeded, part("other"))),
			want:      gangs.Readiness{Exist: 5, Ready: 5, Placed: 5},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sources := groupOnly(podGroup(tc.minMember)).sources()
			if diff := cmp.Diff(tc.want, verdict(t, sources, groupKey, tc.pods)); diff != "" {
				t.Errorf("verdict (-want,+got):\n%s", diff)
			}
		})
	}
}

func verdict(t *testing.T, sources gangs.Sources, key gangs.Key, pods []*corev1.Pod) gangs.Readiness {
	t.Helper()
	members := allMembers(sources, pods)
	g, err := sources.Gang(key, members)
	if err != nil {
		t.Fatalf("Gang: %v", err)
	}
	return gangs.Check(g, members)
}
