// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// apartRule is an AntiAffinity compiled for the search.
type apartRule struct {
	domains *domains
	// holders and others report, by role, whether it is in Roles and in Others.
	holders, others []bool
}

// affinityRule is an Affinity compiled for the search.
type affinityRule struct {
	// terms has the domains of each term.
	terms []*domains
	// holders and matching report, by role, whether it is in Roles and in Matching.
	holders, matching []bool
	// existing has, by term and domain, the number of nodes with a matching pod. exist is
	// the number of those in any domain.
	existing [][]int32
	exist    int32
}

// count adds n matching pods on a node. It returns false if the node is in no domain.
func (a *affinityRule) count(byTerm [][]int32, pos, n int32) bool {
	counts := false
	for t, d := range a.terms {
		if v, ok := d.at(pos); ok {
			byTerm[t][v] += n
			counts = true
		}
	}
	return counts
}

// covers reports whether a node is in a domain of each term.
func (a *affinityRule) covers(pos int32) bool {
	return !slices.ContainsFunc(a.terms, func(d *domains) bool { _, ok := d.at(pos); return !ok })
}

// affinityCounts counts matching pods and members in the domains of an affinity rule.
type affinityCounts struct {
	rule *affinityRule
	// now is by term and domain. all are the matching pods and members in any domain.
	now [][]int32
	all int32
}

func newAffinityCounts(rule *affinityRule) affinityCounts {
	c := affinityCounts{rule: rule, all: rule.exist}
	for _, counts := range rule.existing {
		c.now = append(c.now, slices.Clone(counts))
	}
	return c
}

// change adds n members of a role on a node.
func (c *affinityCounts) change(role int, pos, n int32) {
	if c.rule.matching[role] && c.rule.count(c.now, pos, n) {
		c.all += n
	}
}

// accepts reports whether the rule allows the next member of a role on a node.
func (c *affinityCounts) accepts(role int, pos int32) bool {
	near := true
	for t, d := range c.rule.terms {
		v, ok := d.at(pos)
		if !ok {
			return false
		}
		near = near && c.now[t][v] > 0
	}
	return near || c.all == 0 && c.rule.matching[role]
}
