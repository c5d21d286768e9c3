// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"maps"
	"slices"
)

// counts checks how many members each domain of a key has, smallest first. Domains without a
// member are not in the list.
func counts(key string, want ...int) step {
	return func(s *stage) {
		s.Helper()
		got := s.Domains(ofGang, key)
		if !slices.Equal(slices.Sorted(maps.Values(got)), want) {
			s.Errorf("the domains of %s have these members: %v, want the numbers %v", key, got, want)
		}
	}
}

// stand checks the nodes of a role's members: one for each member.
func stand(role string, numbers ...int) step {
	return func(s *stage) {
		s.Helper()
		var want []string
		for _, i := range numbers {
			want = append(want, nodeName(i))
		}
		got := s.NodesOf(roleLabel + "=" + role)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			s.Errorf("the members of role %s are on %v, want %v", role, got, want)
		}
	}
}

// within checks that all members are on some of these nodes.
func within(numbers ...int) step {
	return func(s *stage) {
		s.Helper()
		for _, node := range s.NodesOf(ofGang) {
			if !slices.ContainsFunc(numbers, func(i int) bool { return nodeName(i) == node }) {
				s.Errorf("a member is on %s, want one of the nodes %v", node, numbers)
			}
		}
	}
}
