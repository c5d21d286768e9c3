// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// board is the state of one search: the snapshot's counts minus what the search
// has put on nodes so far. Putting and taking back restore it exactly.
type board struct {
	p *problem
	f *fabric
	// slot maps a position to its entry in uses, plus one; zero is untouched.
	slot pages[int32]
	uses []use
	// rem is what is left by dimension, for each use.
	rem []int64
	// per holds, for each use and role, what the board knows.
	per []perRole
	// sums replace the rollup's sums for roles whose slots have changed.
	sums [][][]int64
	// opened counts used nodes below each vertex, by depth 0..levels.
	opened [][]int32
	// crossed counts used vertices by depth 0..levels+1, room adds up the
	// leading role's slots of the used vertices.
	crossed, room []int64
	unpaired      int64
	offered       map[offerKey]uint64
	log           []place
	stats         *Stats
}

// use is a node that the search has touched.
type use struct {
	pos     int32
	members int32 // put here by this search
	bound   bool  // a member of the gang runs here already
}

// perRole is one role's standing on a touched node.
type perRole struct {
	put   int32 // members of the role put here
	limit int32 // most that may be put: Role.Limit and what fits refused
	slots int32 // how many more fit now
}

// place is members of one slice of a batch on one node.
type place struct {
	batch, slice, pos, n int32
}

func newBoard(p *problem) *board {
	f := p.snap.fabric
	b := &board{
		p: p, f: f, stats: p.stats, offered: map[offerKey]uint64{},
		slot:    newPages[int32](len(f.names)),
		sums:    make([][][]int64, len(p.roles)),
		opened:  make([][]int32, f.levels+1),
		crossed: make([]int64, f.levels+2),
		room:    make([]int64, f.levels+2),
	}
	for d := range b.opened {
		b.opened[d] = make([]int32, len(f.tables[d].verts))
	}
	for _, pos := range p.bound {
		b.bind(pos)
	}
	for r := range p.roles {
		for _, l := range p.roles[r].limits {
			b.restrict(r, l.pos, l.most)
		}
	}
	return b
}

// touch returns the entry of a position, made when missing.
func (b *board) touch(pos int32) int {
	if i := b.slot.at(pos); i > 0 {
		return int(i - 1)
	}
	c := b.p.snap.class(pos)
	b.uses = append(b.uses, use{pos: pos})
	for i := range b.p.dims {
		b.rem = append(b.rem, b.p.dims[i].free(c))
	}
	for r := range b.p.roles {
		b.per = append(b.per, perRole{limit: maxSlots, slots: b.p.roles[r].roll.slots.at(pos)})
	}
	b.slot.set(pos, int32(len(b.uses)))
	return len(b.uses) - 1
}

// slots is how many more members of a role the node holds.
func (b *board) slots(role int, pos int32) int32 {
	if i := b.slot.at(pos); i > 0 {
		return b.per[int(i-1)*len(b.p.roles)+role].slots
	}
	return b.p.roles[role].roll.slots.at(pos)
}

// on is how many members of a role this search has put on the node.
func (b *board) on(role int, pos int32) int32 {
	if i := b.slot.at(pos); i > 0 {
		return b.per[int(i-1)*len(b.p.roles)+role].put
	}
	return 0
}

// pristine says that nothing distinguishes the node from others of its class.
func (b *board) pristine(pos int32) bool {
	i := b.slot.at(pos)
	if i == 0 {
		return true
	}
	u := &b.uses[i-1]
	if u.bound || u.members > 0 {
		return false
	}
	n := len(b.p.roles)
	for _, r := range b.per[int(i-1)*n : int(i)*n] {
		if r.limit < maxSlots {
			return false
		}
	}
	return true
}

// used says that the node holds a member of the gang.
func (b *board) used(pos int32) bool {
	i := b.slot.at(pos)
	return i > 0 && (b.uses[i-1].members > 0 || b.uses[i-1].bound)
}

// isOpen says that a vertex holds a member of the gang.
func (b *board) isOpen(depth int, v int32) bool {
	if depth > b.f.levels {
		return b.used(v)
	}
	return b.opened[depth][v] > 0
}

// sum is the slots for a role in a vertex.
func (b *board) sum(role, depth int, v int32) int64 {
	if depth > b.f.levels {
		return int64(b.slots(role, v))
	}
	if s := b.sums[role]; s != nil {
		return s[depth][v]
	}
	return b.p.roles[role].roll.sum[depth][v]
}

// put places n members of a batch on a node and remembers it.
func (b *board) put(batch, slice, pos, n int32) {
	b.log = append(b.log, place{batch, slice, pos, n})
	b.change(b.p.batches[batch].role, pos, n)
}

// undo takes back everything put since the log had that length.
func (b *board) undo(mark int) {
	for i := len(b.log) - 1; i >= mark; i-- {
		l := b.log[i]
		b.change(b.p.batches[l.batch].role, l.pos, -l.n)
	}
	b.log = b.log[:mark]
}

// change adds n members, or takes -n away.
func (b *board) change(role int, pos, n int32) {
	i := b.touch(pos)
	was := b.used(pos)
	r := &b.p.roles[role]
	per := &b.per[i*len(b.p.roles)+role]
	if len(r.roll.shape.pairs) > 0 && max(per.put, per.put+n) > r.roll.clean.at(pos) {
		c := b.p.snap.class(pos)
		b.unpaired += r.roll.shape.unpaired(c, per.put+n) - r.roll.shape.unpaired(c, per.put)
	}
	per.put += n
	b.uses[i].members += n
	for d, take := range r.takes {
		b.rem[i*len(b.p.dims)+d] -= take * int64(n)
	}
	b.recount(i)
	if is := b.used(pos); is != was {
		b.mark(pos, is)
	}
}

// recount sets the slots of every role on a touched node, and the sums above.
func (b *board) recount(i int) {
	n := len(b.p.roles)
	rem := b.rem[i*len(b.p.dims) : (i+1)*len(b.p.dims)]
	pos := b.uses[i].pos
	for r := range b.p.roles {
		per := &b.per[i*n+r]
		role := &b.p.roles[r]
		s := min(role.roll.slots.at(pos), per.limit) - per.put
		for d, take := range role.takes {
			if take > 0 && int64(s)*take > rem[d] {
				s = int32(rem[d] / take)
			}
		}
		s = max(s, 0)
		if s != per.slots {
			b.adjust(r, pos, int64(s-per.slots))
			per.slots = s
		}
	}
}

func (b *board) adjust(role int, pos int32, delta int64) {
	if b.sums[role] == nil {
		for _, s := range b.p.roles[role].roll.sum {
			b.sums[role] = append(b.sums[role], slices.Clone(s))
		}
	}
	for d, s := range b.sums[role] {
		s[b.f.tables[d].of[pos]] += delta
	}
}

// mark opens or closes the vertices above a node that became used or unused.
func (b *board) mark(pos int32, open bool) {
	lead := b.p.roles[0].roll
	b.count(b.f.levels+1, int64(lead.slots.at(pos)), open)
	for d := 0; d <= b.f.levels; d++ {
		v := b.f.tables[d].of[pos]
		o := &b.opened[d][v]
		if open {
			*o++
		}
		if *o == 1 {
			b.count(d, lead.sum[d][v], open)
		}
		if !open {
			*o--
		}
	}
}

func (b *board) count(depth int, room int64, open bool) {
	if open {
		b.crossed[depth]++
		b.room[depth] += room
		return
	}
	b.crossed[depth]--
	b.room[depth] -= room
}

// bind marks a node on which a member already runs.
func (b *board) bind(pos int32) {
	i := b.touch(pos)
	was := b.used(pos)
	b.uses[i].bound = true
	if !was {
		b.mark(pos, true)
	}
}

// restrict lowers the most members of a role that may be put on a node.
func (b *board) restrict(role int, pos, most int32) {
	i := b.touch(pos)
	per := &b.per[i*len(b.p.roles)+role]
	if most < per.limit {
		per.limit = most
		b.recount(i)
	}
}

// ask finds how many of n further members the filters let onto a node, and
// remembers a refusal. Fits is monotone, so the last member speaks for all.
func (b *board) ask(role int, pos, n int32) int32 {
	if b.p.ask == nil || n <= 0 {
		return n
	}
	on := b.on(role, pos)
	if b.fits(role, pos, on+n-1) {
		return n
	}
	b.narrow(role, pos, on+n-1)
	return max(0, b.limit(role, pos)-on)
}

// fits asks the caller's filters, each question once in a plan.
func (b *board) fits(role int, pos, already int32) bool {
	key := fitsKey{int32(role), pos}
	known, asked := b.p.granted[key]
	if asked && already <= known {
		return true
	}
	if b.stats.FitsCalls++; b.stats.FitsCalls%fitsPerStep == 0 {
		b.p.steps++
	}
	if !b.p.ask(b.p.roles[role].index, b.f.names[pos], int(already)) {
		b.stats.FitsRefused++
		return false
	}
	b.p.granted[key] = already
	return true
}

// limit is the most members of a role that may be put on a touched node.
func (b *board) limit(role int, pos int32) int32 {
	return b.per[int(b.slot.at(pos)-1)*len(b.p.roles)+role].limit
}

// verify asks the filters about every node in use, and returns the first that
// holds more than they allow.
func (b *board) verify() *clash {
	if b.p.ask == nil {
		return nil
	}
	for i := range b.uses {
		for r := range b.p.roles {
			pos := b.uses[i].pos
			if n := b.on(r, pos); n > 0 && !b.fits(r, pos, n-1) {
				b.narrow(r, pos, n-1)
				return &clash{r, pos}
			}
		}
	}
	return nil
}

// narrow finds how many members the filters do allow, after they refused the one
// beyond hi, and remembers it. Most often they allow none, so that comes first.
func (b *board) narrow(role int, pos, hi int32) {
	lo := int32(0)
	if hi > 0 && b.fits(role, pos, 0) {
		for lo = 1; lo < hi; {
			mid := lo + (hi-lo+1)/2
			if b.fits(role, pos, mid-1) {
				lo = mid
			} else {
				hi = mid - 1
			}
		}
	}
	b.restrict(role, pos, lo)
	b.p.refused(role, pos, lo)
}
