// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

func isPlaced(m gangs.Member) bool { return gangs.Placed(m.Pod) }

// Repeated NextBatch calls place as many members as the steps allow: no member with a
// complete step waits for ever, and no step starts in part.
func TestTurnsPlaceWholeSteps(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	left, stepped := 0, 0
	for range 500 {
		g, members := steppedGang(rng)
		for {
			before := standing(members)
			rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			turned, now, why := gangs.NextBatch(g, members, isPlaced)
			if other, again, sameWhy := gangs.NextBatch(g, reversed(members), isPlaced); !sameTurn(now, again) || why != sameWhy || cmp.Diff(turned, other) != "" {
				t.Fatalf("another order of the members, another turn: %v and %v", names(now), names(again))
			}
			bind(now)
			checkSteps(t, g, before, standing(members))
			if len(before) == len(standing(members)) {
				if (why == "") != (len(before) == len(members)) {
					t.Fatalf("%d of %d stand, nobody has a turn, and it says %q", len(before), len(members), why)
				}
				break
			}
		}
		for _, r := range g.Roles {
			want, there := r.Want, 0
			for _, m := range members {
				if m.Role == r.Name && isPlaced(m) {
					there++
				}
			}
			rest := (want - r.Min) % max(1, r.Step)
			if there != want-rest {
				t.Fatalf("role %+v: %d of %d stand", r, there, want)
			}
			left += rest
			stepped += there
		}
	}
	if left == 0 || stepped == 0 {
		t.Errorf("of all gangs %d members stand and %d wait for company: the test tests nothing", stepped, left)
	}
}

// steppedGang returns a gang with a head and two roles whose members above Min start in
// steps.
func steppedGang(rng *rand.Rand) (gangs.Gang, []gangs.Member) {
	g := gangs.Gang{Key: rayKey, Roles: []gangs.Role{{Name: "headgroup", Min: 1, Want: 1}}}
	members := []gangs.Member{{Key: rayKey, Role: "headgroup", Pod: head("h")}}
	for _, name := range []string{"v", "w"} {
		step := 1 + rng.IntN(3)
		r := gangs.Role{Name: name, Step: step, Min: step * rng.IntN(3)}
		r.Want = r.Min + rng.IntN(8)
		g.Roles = append(g.Roles, r)
		for i := range r.Want {
			members = append(members, gangs.Member{Key: rayKey, Role: name, Pod: worker(fmt.Sprintf("%s-%d", name, i), name)})
		}
	}
	for _, r := range g.Roles {
		g.Min += r.Min
	}
	return g, members
}

func bind(members []gangs.Member) {
	for _, m := range members {
		bound(m.Pod)
	}
}

func standing(members []gangs.Member) []gangs.Member {
	return slices.DeleteFunc(slices.Clone(members), func(m gangs.Member) bool { return !isPlaced(m) })
}

// checkSteps checks the members that one batch placed in roles with steps.
func checkSteps(t *testing.T, g gangs.Gang, before, after []gangs.Member) {
	t.Helper()
	count := func(members []gangs.Member, role string) int {
		n := 0
		for _, m := range members {
			if m.Role == role {
				n++
			}
		}
		return n
	}
	for _, r := range g.Roles {
		was, is := count(before, r.Name), count(after, r.Name)
		switch {
		case r.Step <= 1:
		case len(before) == 0 && is != r.Min:
			t.Fatalf("role %+v began with %d", r, is)
		case len(before) > 0 && is-was != 0 && is-was != r.Step:
			t.Fatalf("role %+v went from %d to %d", r, was, is)
		}
	}
}

func reversed(members []gangs.Member) []gangs.Member {
	members = slices.Clone(members)
	slices.Reverse(members)
	return members
}

func sameTurn(a, b []gangs.Member) bool { return slices.Equal(names(a), names(b)) }

func names(members []gangs.Member) []string {
	var names []string
	for _, m := range members {
		names = append(names, m.Pod.Name)
	}
	slices.Sort(names)
	return names
}

// A succeeded member counts for the quorum, and its node does not constrain the others.
func TestTurnSetsAsideWhoIsDone(t *testing.T) {
	g := gangs.Gang{Key: rayKey, Min: 3, Roles: []gangs.Role{{Name: "w", Min: 3, Want: 3}}}
	members := []gangs.Member{
		{Key: rayKey, Role: "w", Pod: worker("done", "w", succeeded)},
		{Key: rayKey, Role: "w", Pod: worker("runs", "w", bound)},
		{Key: rayKey, Role: "w", Pod: worker("waits", "w")},
	}
	turned, now, why := gangs.NextBatch(g, members, isPlaced)
	if diff := cmp.Diff([]string{"runs", "waits"}, names(now)); diff != "" || why != "" {
		t.Errorf("members (-want,+got):\n%s%s", diff, why)
	}
	if turned.Roles[0].Min != 2 || g.Roles[0].Min != 3 {
		t.Errorf("of three needed one is done: want 2 and the gang unchanged, got %d and %d", turned.Roles[0].Min, g.Roles[0].Min)
	}
}
