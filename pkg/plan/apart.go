// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// apartCounts counts, for each anti-affinity rule, the members in its domains, members
// that already run included.
type apartCounts struct {
	p *problem
	// rules has an entry for each rule in problem.apart.
	rules []domainCounts
}

// domainCounts has, by domain number, the members whose role is in AntiAffinity.Roles
// (holders) and those whose role is in AntiAffinity.Others.
type domainCounts struct{ holders, others map[int32]int32 }

// newApartCounts returns the counts for the anti-affinity rules of p, with the members
// that already run.
func newApartCounts(p *problem) apartCounts {
	c := apartCounts{p: p}
	for range p.apart {
		c.rules = append(c.rules, domainCounts{holders: map[int32]int32{}, others: map[int32]int32{}})
	}
	for r := range p.roles {
		if len(p.roles[r].apart) == 0 {
			continue
		}
		for _, pos := range p.roles[r].bound {
			if pos >= 0 {
				c.change(r, pos, 1)
			}
		}
	}
	return c
}

// change adds n members of a role (its index) on the node at pos (its index in tree order)
// to the counts of the anti-affinity rules. A negative n removes members.
func (c *apartCounts) change(role int, pos, n int32) {
	for _, i := range c.p.roles[role].apart {
		rule := &c.p.apart[i]
		v, ok := rule.domains.at(pos)
		if !ok {
			continue
		}
		if rule.holders[role] {
			c.rules[i].holders[v] += n
		}
		if rule.others[role] {
			c.rules[i].others[v] += n
		}
	}
}

// room returns how many more members of a role the anti-affinity rules allow on the node
// at pos: 0, 1 or maxSlots, which stands for any number. With onlyNodes it reads only the
// rules whose domains are single nodes.
func (c *apartCounts) room(role int, pos int32, onlyNodes bool) int32 {
	room := int32(maxSlots)
	for _, i := range c.p.roles[role].apart {
		rule := &c.p.apart[i]
		v, ok := rule.domains.at(pos)
		if !ok || onlyNodes && !rule.domains.areNodes() {
			continue
		}
		holder, other := rule.holders[role], rule.others[role]
		switch counts := &c.rules[i]; {
		case holder && counts.others[v] > 0, other && counts.holders[v] > 0:
			return 0
		case holder && other:
			room = 1
		}
	}
	return room
}
