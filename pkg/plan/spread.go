// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// spreadRule is a Spread (how unevenly the pods of a gang may be spread over domains, as in
// a pod's topologySpreadConstraints) with indices instead of names. skew is its MaxSkew.
type spreadRule struct {
	domains *domains
	// holders and counted report, by index of a role (a set of equal members), whether its
	// members must keep the rule and whether they are counted for it.
	holders, counted []bool
	skew             int32
	// zero is true if the rule has fewer domains than Spread.MinDomains. Then zero replaces
	// the smallest number of counted pods and members of any domain.
	zero bool
	// sizes has, by domain number, the number of nodes in the domain. existing has the
	// number of pods there that are counted before any member is placed.
	sizes, existing []int32
	// highest is how large the smallest number of counted pods and members in any domain
	// can get at most, wherever the members are placed.
	highest int32
}

// highestLeast returns how large the smallest number of counted pods and members in any
// domain can get if this many further members are placed.
func (s *spreadRule) highestLeast(members int) int32 {
	if s.zero {
		return 0
	}
	var counts []int32
	for v, n := range s.existing {
		if s.sizes[v] > 0 {
			counts = append(counts, n)
		}
	}
	if len(counts) == 0 {
		return 0
	}
	slices.Sort(counts)
	least, left := int64(counts[0]), int64(members)
	for i := range counts {
		next := least + left
		if i+1 < len(counts) {
			next = int64(counts[i+1])
		}
		raise := min(next-least, left/int64(i+1))
		least, left = least+raise, left-raise*int64(i+1)
	}
	return int32(least)
}

// spreadCounts counts pods and members in the domains of a Spread rule.
type spreadCounts struct {
	rule *spreadRule
	// now has, by domain number, how many pods and members are counted. held has how many
	// of these are members that must keep the rule.
	now, held []int32
	// with has, by number of counted pods and members, how many domains have that number.
	// least is the smallest number of any domain.
	with  []int32
	least int32
}

func newSpreadCounts(rule *spreadRule) spreadCounts {
	c := spreadCounts{rule: rule, now: slices.Clone(rule.existing), held: make([]int32, len(rule.existing))}
	for v, n := range c.now {
		if rule.sizes[v] > 0 {
			c.count(n, 1)
		}
	}
	c.settle(0)
	return c
}

// count adds domains to those that have this number of counted pods and members.
func (c *spreadCounts) count(number, domains int32) {
	if int(number) >= len(c.with) {
		c.with = append(c.with, make([]int32, int(number)+1-len(c.with))...)
	}
	c.with[number] += domains
}

// settle sets least to the smallest number that a domain has. The caller knows that no
// domain has less than from.
func (c *spreadCounts) settle(from int32) {
	c.least = from
	for int(c.least) < len(c.with)-1 && c.with[c.least] == 0 {
		c.least++
	}
}

// change adds n members of a role to the counts of the domain with number v. A negative n
// removes members.
func (c *spreadCounts) change(role int, v, n int32) {
	if !c.rule.counted[role] {
		return
	}
	c.count(c.now[v], -1)
	c.now[v] += n
	c.count(c.now[v], 1)
	c.settle(min(c.least, c.now[v]))
	if c.rule.holders[role] {
		c.held[v] += n
	}
}

// accepts reports whether the Spread rule allows the next member of a role in the domain
// with number v.
func (c *spreadCounts) accepts(role int, v int32) bool {
	least := c.least
	if c.rule.zero {
		least = 0
	}
	return c.now[v]+c.self(role)-least <= c.rule.skew
}

func (c *spreadCounts) self(role int) int32 {
	if c.rule.counted[role] {
		return 1
	}
	return 0
}

// room returns an upper bound of how many further members of a role fit in the domain
// with number v, whatever the order in which all members are placed. Members that are
// counted but need not keep the rule take none of this room: they may be placed last.
func (c *spreadCounts) room(role int, v int32) int32 {
	most := c.rule.skew + c.rule.highest - c.rule.existing[v]
	switch {
	case most >= 0 && !c.rule.counted[role]:
		return maxSlots
	case !c.rule.counted[role]:
		return 0
	}
	return max(0, most-c.held[v])
}
