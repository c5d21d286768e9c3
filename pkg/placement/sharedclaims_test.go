// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// inputOf returns the input of roles with these sizes, each in a group. Half of the members
// are the minimum.
func inputOf(groups map[string]string, sizes map[string]int, order ...string) *planInput {
	p := &planInput{}
	for _, name := range order {
		input := roleInput{Role: plan.Role{Name: name, Group: groups[name], Min: sizes[name] / 2}, base: name, sample: &v1.Pod{}}
		for i := range sizes[name] {
			input.Members = append(input.Members, plan.Member{Name: name, Rank: i})
			input.members = append(input.members, gangs.Member{Pod: input.sample})
		}
		p.roles = append(p.roles, input)
	}
	return p
}

// colocate confines claims with devices that belong to one node each. It returns the gang's
// required level and the roles in each new group.
func colocate(p *planInput, claims ...sharedClaim) (required string, groups map[string][]string) {
	shared := sets.New[string]()
	for _, claim := range claims {
		shared.Insert(claim.name)
	}
	p.roles = splitClaimOwners(p.roles, shared, claims)
	p.confine(claims, func(int) devices.Reach { return devices.Reach{OneNode: true} })
	gang := p.planGang()
	for _, group := range gang.Groups {
		for _, role := range gang.Roles {
			if role.Group == group.Name {
				if groups == nil {
					groups = map[string][]string{}
				}
				groups[group.Name+" in "+group.Required] = append(groups[group.Name+" in "+group.Required], role.Name)
			}
		}
	}
	return gang.Required, groups
}

func TestMembersThatShareClaimsAreColocated(t *testing.T) {
	sizes := map[string]int{"a": 4, "b": 4, "c": 1}
	for name, tc := range map[string]struct {
		groups    map[string]string
		claims    []sharedClaim
		required  string
		want      map[string][]string
		colocated []string
	}{
		"all roles": {nil, []sharedClaim{{"x", []string{"a", "b", "c"}}}, plan.NodeLevel, nil, []string{"x"}},
		"one role":  {nil, []sharedClaim{{"x", []string{"a"}}}, "", map[string][]string{"/sharing x in node": {"a", "a with resource claims x"}}, []string{"x"}},
		"one role each": {nil, []sharedClaim{{"x", []string{"a"}}, {"y", []string{"c"}}}, "", map[string][]string{
			"/sharing x in node": {"a", "a with resource claims x"}, "/sharing y in node": {"c"},
		}, []string{"x", "y"}},
		"claims that have a role in common": {nil, []sharedClaim{{"x", []string{"a"}}, {"y", []string{"a", "c"}}}, "", map[string][]string{
			"/sharing y, x in node": {"a", "c", "a with resource claims x, y"},
		}, []string{"x", "y"}},
		"roles of one group": {map[string]string{"a": "g", "b": "g", "c": "h"}, []sharedClaim{{"x", []string{"a", "b"}}}, "", map[string][]string{
			"g/sharing x in node": {"a", "b", "a with resource claims x"},
		}, []string{"x"}},
		"roles of two groups": {map[string]string{"a": "g", "b": "h", "c": "h"}, []sharedClaim{{"x", []string{"a", "b"}}}, "", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := inputOf(tc.groups, sizes, "a", "b", "c")
			required, groups := colocate(p, tc.claims...)
			if diff := cmp.Diff(tc.want, groups); required != tc.required || diff != "" {
				t.Errorf("the gang requires one %q, want %q; groups (-want,+got):\n%s", required, tc.required, diff)
			}
			if diff := cmp.Diff(tc.colocated, p.colocated); diff != "" {
				t.Errorf("claims that keep members on one node (-want,+got):\n%s", diff)
			}
			members, least := 0, 0
			for _, role := range p.planGang().Roles {
				members, least = members+len(role.Members), least+role.Min
			}
			if members != 9 || least != 4 {
				t.Errorf("%d members and a minimum of %d, want 9 and 4 as before", members, least)
			}
		})
	}
}

// The filters' limits count the claim owner and the other members of a node together.
func TestLimitsOfClaimOwners(t *testing.T) {
	p := inputOf(nil, map[string]int{"a": 4}, "a")
	p.roles[0].Limit = map[string]int{"none": 0, "one": 1, "three": 3}
	colocate(p, sharedClaim{"x", []string{"a"}})
	got := map[string]map[string]int{}
	for _, role := range p.planGang().Roles {
		got[role.Name] = role.Limit
	}
	want := map[string]map[string]int{
		"a":                        {"none": 0, "one": 0, "three": 2},
		"a with resource claims x": {"none": 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("limits (-want,+got):\n%s", diff)
	}
	if p.roles[0].companions != 1 || p.roles[1].base != "a" {
		t.Errorf("the others have %d companions; the claim owner is of role %q", p.roles[0].companions, p.roles[1].base)
	}
}
