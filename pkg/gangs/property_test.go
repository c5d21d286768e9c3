// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// The order of the members changes neither the gang nor its messages.
func TestOrderOfMembersChangesNothing(t *testing.T) {
	const gangsTried, ordersTried = 400, 5
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	seen := map[string]int{}
	for range gangsTried {
		sources, key, pods := randomGang(rng)
		members := membersOf(sources, key, pods)
		want := outcome(t, sources, key, members)
		seen[want.kind()]++
		for range ordersTried {
			rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			if diff := cmp.Diff(want, outcome(t, sources, key, members)); diff != "" {
				t.Fatalf("another order, another outcome (-want,+got):\n%s", diff)
			}
		}
		checkLaws(t, want)
	}
	t.Logf("gangs by outcome: %v", seen)
	for _, kind := range []string{"problem", "waiting", "whole"} {
		if seen[kind] == 0 {
			t.Errorf("no gang of %d was %s", gangsTried, kind)
		}
	}
}

type result struct {
	Gang    gangs.Gang
	Verdict gangs.Readiness
}

func (r result) kind() string {
	switch {
	case r.Verdict.Problem != "":
		return "problem"
	case r.Verdict.Waiting != "":
		return "waiting"
	default:
		return "whole"
	}
}

func outcome(t *testing.T, sources gangs.Sources, key gangs.Key, members []gangs.Member) result {
	t.Helper()
	g, err := sources.Gang(key, members)
	if err != nil {
		t.Fatalf("Gang: %v", err)
	}
	return result{g, gangs.Check(g, members)}
}

// checkLaws checks invariants of every gang.
func checkLaws(t *testing.T, r result) {
	t.Helper()
	sum := 0
	for i, role := range r.Gang.Roles {
		sum += role.Min
		if role.Min > role.Want {
			t.Errorf("role %s: min %d is above want %d", role.Name, role.Min, role.Want)
		}
		if i > 0 && r.Gang.Roles[i-1].Name >= role.Name {
			t.Errorf("roles are out of order: %v", r.Gang.Roles)
		}
	}
	v := r.Verdict
	if r.kind() == "whole" && (sum != r.Gang.Min || v.Ready < r.Gang.Min) {
		t.Errorf("a whole gang of min %d has roles that sum to %d and %d ready members", r.Gang.Min, sum, v.Ready)
	}
	if v.Placed > v.Ready || v.Ready > v.Exist || v.Exist > max(0, r.Gang.Min) {
		t.Errorf("counts do not nest: %+v, min %d", v, r.Gang.Min)
	}
}

func randomGang(rng *rand.Rand) (gangs.Sources, gangs.Key, []*corev1.Pod) {
	n := 1 + rng.IntN(12)
	pods := make([]*corev1.Pod, n)
	if rng.IntN(2) == 0 {
		for i := range pods {
			pods[i] = pod(fmt.Sprintf("p%d", i), append(randomChanges(rng), inGroup("a"), part([]string{"x", "y"}[rng.IntN(2)]))...)
		}
		return groupOnly(podGroup(int32(rng.IntN(n + 2)))).sources(), groupKey, pods
	}
	names := []string{"headgroup", "w", "v"}
	for i := range pods {
		name := names[rng.IntN(3)]
		pods[i] = worker(fmt.Sprintf("p%d", i), name, randomChanges(rng)...)
		if name == "headgroup" {
			nodeType("head")(pods[i])
		}
	}
	groups := []rayv1.WorkerGroupSpec{workers("w", int32(rng.IntN(3))), workers("v", int32(rng.IntN(3)))}
	groups[0].MinReplicas = ptr(int32(rng.IntN(3)))
	cluster := rayCluster(groups...)
	cluster.Spec.EnableInTreeAutoscaling = ptr(rng.IntN(2) == 0)
	return clusterOnly(cluster).sources(), rayKey, pods
}

// randomChanges returns few changes, so that some gangs are complete.
func randomChanges(rng *rand.Rand) []change {
	rare := []change{
		gated, bound, bound, succeeded, failed, deleted, priority(5), scheduler("other"), required("leaf"), required("leaf"),
		required("spine"), preferred("rack"), label("training.kubeflow.org/replica-index", fmt.Sprint(rng.IntN(4))),
	}
	var changes []change
	for _, c := range rare {
		if rng.IntN(25) == 0 {
			changes = append(changes, c)
		}
	}
	return changes
}
