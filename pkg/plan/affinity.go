// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// apartRule is an AntiAffinity rule (members of some roles share no domain), compiled: it
// has role indices instead of role names, and the domains of its level.
type apartRule struct {
	domains *domains
	// holders and others report, by role index, whether the role is in AntiAffinity.Roles
	// and in AntiAffinity.Others.
	holders, others []bool
}

// affinityRule is an Affinity rule (members must be near matching pods), compiled: it has
// role indices instead of role names, and the domains of its levels.
type affinityRule struct {
	// terms has, for each entry of Affinity.Levels, the domains of this level.
	terms []*domains
	// holders and matching report, by role index, whether the role is in Affinity.Roles
	// and in Affinity.Matching.
	holders, matching []bool
	// existing has, by term and domain number, how many nodes of the domain have a matching
	// pod before the plan places any member. exist is the number of nodes with such a pod
	// that are in a domain of some term.
	existing [][]int32
	exist    int32
}

// count adds n to byTerm (numbers by term and domain number), for the domain of each term
// that contains the node at pos. It returns false if no term has a domain with this node.
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

// covers reports whether each term of the rule has a domain with the node at pos.
func (a *affinityRule) covers(pos int32) bool {
	return !slices.ContainsFunc(a.terms, func(d *domains) bool { _, ok := d.at(pos); return !ok })
}

// affinityCounts counts, for one affinity rule and in each of its domains, the nodes that
// have a matching pod and the matching members placed there.
type affinityCounts struct {
	rule *affinityRule
	// now has, by term and domain number, how many nodes of the domain had a matching pod
	// before the plan, plus how many matching members are placed there. all is the number
	// of such nodes and members that are in a domain of some term.
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

// change adds n members of a role on the node at pos to the counts. A negative n removes
// members.
func (c *affinityCounts) change(role int, pos, n int32) {
	if c.rule.matching[role] && c.rule.count(c.now, pos, n) {
		c.all += n
	}
}

// accepts reports whether the affinity rule allows one more member of a role on the node at
// pos: for each term, the node is in a domain that has a matching pod or member. As long as
// no domain of any term has one, a member of a matching role needs only to be in a domain
// of each term.
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
