// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// addConflicts compiles Gang.Conflicts. A Conflict is a combination that the filters have
// refused: numbers of members of some roles on some nodes. A placement fulfils a term of
// a conflict if it puts at least this number of members on the node, and must not fulfil
// all terms. addConflicts leaves out conflicts with a term that no placement can fulfil,
// because its role has no members or its node does not exist.
func (p *problem) addConflicts() {
	for i := range p.gang.Conflicts {
		if terms, possible := p.conflictTerms(&p.gang.Conflicts[i]); possible {
			index := int32(len(p.conflicts))
			p.conflicts = append(p.conflicts, conflictRule{int32(len(terms)), p.gang.Conflicts[i].Earlier})
			for at, count := range terms {
				p.addConflictTerm(at, conflictTerm{index, count})
			}
		}
	}
}

// conflictTerms returns the terms of a conflict: numbers of members, by role index and
// node position. possible is false if the role of a term has no members or its node does
// not exist.
func (p *problem) conflictTerms(c *Conflict) (terms map[fitsKey]int32, possible bool) {
	terms = make(map[fitsKey]int32, len(c.Terms))
	for _, term := range c.Terms {
		role := p.roleNamed(term.Role)
		pos, known := p.snap.fabric.pos(term.Node)
		if role < 0 || !known {
			return nil, false
		}
		at := fitsKey{int32(role), pos}
		terms[at] = max(terms[at], int32(min(term.Count, maxSlots)))
	}
	return terms, true
}

func (p *problem) addConflictTerm(at fitsKey, term conflictTerm) {
	r := &p.roles[at.role]
	if r.conflicts == nil {
		r.conflicts = map[int32][]conflictTerm{}
	}
	r.conflicts[at.pos] = append(r.conflicts[at.pos], term)
	p.mark(at.pos, conflictMark, int64(term.conflict), int64(at.role), int64(term.count))
}

// conflictCounts counts the fulfilled terms of each conflict.
type conflictCounts struct {
	p         *problem
	fulfilled []int32
}

func newConflictCounts(p *problem) conflictCounts {
	return conflictCounts{p: p, fulfilled: make([]int32, len(p.conflicts))}
}

// change records that the number of members of a role on the node at pos changes from
// before to after.
func (c *conflictCounts) change(role int, pos, before, after int32) {
	for _, term := range c.p.roles[role].conflicts[pos] {
		if before < term.count && after >= term.count {
			c.fulfilled[term.conflict]++
		}
		if before >= term.count && after < term.count {
			c.fulfilled[term.conflict]--
		}
	}
}

// room returns how many more members of a role the conflicts allow on the node at pos,
// which holds on members of this role. It returns maxSlots for any number. earlier is true
// if the conflict that allows the fewest members was found by an earlier plan.
func (c *conflictCounts) room(role int, pos, on int32) (room int32, earlier bool) {
	room = maxSlots
	for _, term := range c.p.roles[role].conflicts[pos] {
		rule := &c.p.conflicts[term.conflict]
		last := on < term.count && c.fulfilled[term.conflict] == rule.terms-1
		if left := term.count - 1 - on; last && left < room {
			room, earlier = left, rule.earlier
		}
	}
	return room, earlier
}
