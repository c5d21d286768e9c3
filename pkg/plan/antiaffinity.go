// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// apartRule is an AntiAffinity compiled for the search.
type apartRule struct {
	// depth is the depth of the rule's level; nodes are one below the finest level.
	depth int
	// holders and others report, by role, whether it is in Roles and in Others.
	holders, others []bool
}

// apartCounts counts the members in the domains of one rule, by vertex at its depth,
// members that run included.
type apartCounts struct{ holders, others map[int32]int32 }

// addAntiAffinity compiles the rules that keep members apart.
func (p *problem) addAntiAffinity() {
	for i := range p.gang.AntiAffinity {
		spec := &p.gang.AntiAffinity[i]
		rule := apartRule{depth: p.depth(spec.Level)}
		for r := range p.roles {
			name := p.roles[r].spec.Name
			holder, other := slices.Contains(spec.Roles, name), slices.Contains(spec.Others, name)
			rule.holders, rule.others = append(rule.holders, holder), append(rule.others, other)
			if holder || other {
				p.roles[r].apart = append(p.roles[r].apart, int32(i))
			}
		}
		p.apart = append(p.apart, rule)
	}
}

// domain returns the domain of a rule that a node is in. ok is false for a node without
// the rule's level.
func (r *apartRule) domain(f *fabric, pos int32) (v int32, ok bool) {
	v = f.at(r.depth, pos)
	return v, f.real(r.depth, v)
}

// countApart counts the members that run in the domains of every rule.
func (pp *partial) countApart() {
	for range pp.p.apart {
		pp.apart = append(pp.apart, apartCounts{holders: map[int32]int32{}, others: map[int32]int32{}})
	}
	for r := range pp.p.roles {
		if len(pp.p.roles[r].apart) == 0 {
			continue
		}
		for _, pos := range pp.p.roles[r].bound {
			if pos >= 0 {
				pp.changeApart(r, pos, 1)
			}
		}
	}
}

// changeApart adds n members of a role on a node to the counts of the rules.
func (pp *partial) changeApart(role int, pos, n int32) {
	for _, i := range pp.p.roles[role].apart {
		rule := &pp.p.apart[i]
		v, ok := rule.domain(pp.f, pos)
		if !ok {
			continue
		}
		if rule.holders[role] {
			pp.apart[i].holders[v] += n
		}
		if rule.others[role] {
			pp.apart[i].others[v] += n
		}
	}
}

// apartRoom returns how many more members of a role the anti-affinity rules allow on a
// node: none, one or any number. With onlyNodes it reads only the rules of the node
// level, which the counts of a node include.
func (pp *partial) apartRoom(role int, pos int32, onlyNodes bool) int32 {
	room := int32(maxSlots)
	for _, i := range pp.p.roles[role].apart {
		rule := &pp.p.apart[i]
		v, ok := rule.domain(pp.f, pos)
		if !ok || onlyNodes && rule.depth <= pp.f.levels {
			continue
		}
		holder, other := rule.holders[role], rule.others[role]
		switch counts := &pp.apart[i]; {
		case holder && counts.others[v] > 0, other && counts.holders[v] > 0:
			return 0
		case holder && other:
			room = 1
		}
	}
	return room
}
