// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// asked is a planning of roles that have so many members, of which half are the
// minimum, each in a group.
func asked(groups map[string]string, sizes map[string]int, order ...string) *planning {
	p := &planning{}
	for _, name := range order {
		role := plan.Role{Name: name, Group: groups[name], Min: sizes[name] / 2}
		for i := range sizes[name] {
			role.Members = append(role.Members, plan.Member{Name: name, Rank: i})
		}
		p.ask.Roles = append(p.ask.Roles, role)
	}
	return p
}

// confined plans shares whose devices belong to one node each, and returns the gang's
// required level and, by group that was made, the roles in it.
func confined(p *planning, shares ...share) (required string, groups map[string][]string) {
	var shapes []*v1.Pod
	for range p.ask.Roles {
		shapes = append(shapes, &v1.Pod{})
	}
	shared := sets.New[string]()
	for _, one := range shares {
		shared.Insert(one.claim)
	}
	stand, _ := p.carry(shapes, shared, shares)
	for _, pod := range stand {
		p.trials.roles = append(p.trials.roles, &trial{pod: pod})
	}
	p.confine(shares, func(int) devices.Reach { return devices.Reach{OneNode: true} })
	for _, group := range p.ask.Groups {
		for _, role := range p.ask.Roles {
			if role.Group == group.Name {
				if groups == nil {
					groups = map[string][]string{}
				}
				groups[group.Name+" in "+group.Required] = append(groups[group.Name+" in "+group.Required], role.Name)
			}
		}
	}
	return p.ask.Required, groups
}

func TestMembersThatShareStandTogether(t *testing.T) {
	sizes := map[string]int{"a": 4, "b": 4, "c": 1}
	for name, one := range map[string]struct {
		groups   map[string]string
		shares   []share
		required string
		want     map[string][]string
		together []string
	}{
		"all roles": {nil, []share{{"x", []string{"a", "b", "c"}}}, plan.NodeLevel, nil, []string{"x"}},
		"one role":  {nil, []share{{"x", []string{"a"}}}, "", map[string][]string{"/sharing x in node": {"a", "a with resource claims x"}}, []string{"x"}},
		"one role each": {nil, []share{{"x", []string{"a"}}, {"y", []string{"c"}}}, "", map[string][]string{
			"/sharing x in node": {"a", "a with resource claims x"}, "/sharing y in node": {"c"},
		}, []string{"x", "y"}},
		"claims that meet in a role": {nil, []share{{"x", []string{"a"}}, {"y", []string{"a", "c"}}}, "", map[string][]string{
			"/sharing y, x in node": {"a", "c", "a with resource claims x, y"},
		}, []string{"x", "y"}},
		"roles of one group": {map[string]string{"a": "g", "b": "g", "c": "h"}, []share{{"x", []string{"a", "b"}}}, "", map[string][]string{
			"g/sharing x in node": {"a", "b", "a with resource claims x"},
		}, []string{"x"}},
		"roles of two groups": {map[string]string{"a": "g", "b": "h", "c": "h"}, []share{{"x", []string{"a", "b"}}}, "", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := asked(one.groups, sizes, "a", "b", "c")
			required, groups := confined(p, one.shares...)
			if diff := cmp.Diff(one.want, groups); required != one.required || diff != "" {
				t.Errorf("the gang must stand in one %q, want %q; groups (-want,+got):\n%s", required, one.required, diff)
			}
			if diff := cmp.Diff(one.together, p.together); diff != "" {
				t.Errorf("claims that keep members together (-want,+got):\n%s", diff)
			}
			members, least := 0, 0
			for _, role := range p.ask.Roles {
				members, least = members+len(role.Members), least+role.Min
			}
			if members != 9 || least != 4 {
				t.Errorf("%d members and a minimum of %d, want 9 and 4 as before", members, least)
			}
		})
	}
}

// What filters refused counts carrier and others of a node together.
func TestLimitsOfSharers(t *testing.T) {
	p := asked(nil, map[string]int{"a": 4}, "a")
	p.ask.Roles[0].Limit = map[string]int{"none": 0, "one": 1, "three": 3}
	confined(p, share{"x", []string{"a"}})
	got := map[string]map[string]int{}
	for _, role := range p.ask.Roles {
		got[role.Name] = role.Limit
	}
	want := map[string]map[string]int{
		"a":                        {"none": 0, "one": 0, "three": 2},
		"a with resource claims x": {"none": 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("limits (-want,+got):\n%s", diff)
	}
	if p.trials.roles[0].beside != 1 || p.roleOf("a with resource claims x") != "a" {
		t.Errorf("beside the others stand %d of role %q", p.trials.roles[0].beside, p.roleOf("a with resource claims x"))
	}
}

// A plan in which a member had to go where its claims are is worth another try only if
// somebody else takes room there who need not.
func TestRefusalOfAPinnedMember(t *testing.T) {
	for name, one := range map[string]struct {
		pinned []types.UID
		stuck  bool
	}{
		"nobody is tied to a node":     {nil, false},
		"another member need not":      {[]types.UID{"a"}, false},
		"all who are planned there":    {[]types.UID{"a", "b"}, true},
		"only those who were accepted": {[]types.UID{"b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &groupPlan{
				nodes:  map[types.UID]string{"a": "n1", "b": "n1", "c": "n2"},
				seated: map[types.UID]bool{"b": true}, tried: []types.UID{"b", "a"}, pinned: map[types.UID]bool{},
			}
			for _, uid := range one.pinned {
				p.pinned[uid] = true
			}
			member, refused := p.refused()
			if want := (refusedMember{node: "n1", held: 1, stuck: one.stuck}); !refused || member != want {
				t.Errorf("refused %+v, want %+v", member, want)
			}
		})
	}
}
