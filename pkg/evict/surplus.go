// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package evict

import (
	"cmp"
	"slices"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// surplusOf returns the members beyond the gang's minimum, as indices in members, in groups that
// leave together. Members without a group of their own come one by one; members of a replica of
// several hosts come together. Members that the gang's declaration does not count (those of an
// earlier object of the same name) are beyond the minimum, too. A gang of gangs has no such
// members: it leaves whole.
func surplusOf(gang *gangs.Gang, members []gangs.Member) [][]int {
	var out [][]int
	byRole := map[string][]int{}
	running := 0
	for i, m := range members {
		if !gang.Has(m) {
			out = append(out, []int{i})
			continue
		}
		byRole[m.Role] = append(byRole[m.Role], i)
		running++
	}
	if len(gang.Groups) > 0 {
		return out
	}
	left := running - gang.Min
	for i := range gang.Roles {
		role := &gang.Roles[i]
		for _, group := range extraOf(role, byRole[role.Name], members) {
			if len(group) > left {
				break
			}
			left -= len(group)
			out = append(out, group)
		}
	}
	return out
}

// extraOf returns the members of a role beyond the role's minimum, the least important first.
func extraOf(role *gangs.Role, of []int, members []gangs.Member) [][]int {
	extra := len(of) - role.Min
	if extra <= 0 {
		return nil
	}
	var groups [][]int
	if role.Step <= 1 {
		for _, i := range of {
			groups = append(groups, []int{i})
		}
	} else if groups = replicas(of, members); groups == nil {
		return nil
	}
	slices.SortFunc(groups, func(a, b []int) int { return lessImportant(&members[a[0]], &members[b[0]]) })
	var out [][]int
	for _, group := range groups {
		if len(group) > extra {
			break
		}
		extra -= len(group)
		out = append(out, group)
	}
	return out
}

// replicas returns the members of each replica of several hosts, nil if a member does not name
// its replica.
func replicas(of []int, members []gangs.Member) [][]int {
	index := map[string]int{}
	var groups [][]int
	for _, i := range of {
		name := members[i].Replica
		if name == "" {
			return nil
		}
		at, known := index[name]
		if !known {
			at = len(groups)
			index[name] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// lessImportant orders members so that those come first whose loss hurts the gang least: those
// of lower priority, of higher rank, and newer ones.
func lessImportant(a, b *gangs.Member) int {
	byRank := 0
	if a.Rank.Known && b.Rank.Known {
		byRank = cmp.Compare(b.Rank.Index, a.Rank.Index)
	}
	return cmp.Or(
		cmp.Compare(priorityOf(a.Pod), priorityOf(b.Pod)), byRank,
		b.Pod.CreationTimestamp.Compare(a.Pod.CreationTimestamp.Time), cmp.Compare(a.Pod.Name, b.Pod.Name),
	)
}
