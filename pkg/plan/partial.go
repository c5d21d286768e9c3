// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// partial is a placement in the making: the members (pods of a gang) that the search has
// put on nodes so far, and the room that they leave. The method undo reverts put exactly.
type partial struct {
	p *problem
	f *fabric
	// slot maps a node position to an index in uses plus one; zero means that the search
	// has not touched the node.
	slot pages[int32]
	uses []use
	// remaining has, for each entry of uses, the free amount of each dimension (a
	// resource, or a set of device kinds).
	remaining []int64
	// per has, for each entry of uses and each role, the members placed on the node and
	// the limits found by this placement.
	per []perRole
	// sums has, by role (a set of equal members), depth and vertex (at depth 0 all nodes
	// together, deeper a domain of that level of the network), how many more members fit. It
	// is nil for a role whose numbers have not changed: role.roll then has the valid ones.
	sums [][][]int64
	// opened has, by depth 0..levels and vertex, the number of nodes in the vertex that
	// hold members of the gang.
	opened [][]int32
	// crossed has, by depth 0..levels+1, the number of used vertices: those that hold
	// members of the gang. room is how many members of the leading role (the role of which
	// the fewest members fit in the fabric) fit in these vertices.
	crossed, room []int64
	// unpaired counts the follower devices (NICs) of the placed members that are in no
	// alignment unit (such as a PCIe root) with an anchor (GPU) of these members.
	unpaired int64
	offers   railOffers
	log      []place // what the method put placed and undo has not removed, in order
	// apart counts the members in the domains (such as racks) of each AntiAffinity rule.
	apart apartCounts
	// order counts the members for the Spread and Affinity rules, which depend on the
	// order of members. The log (all places in the order of put) is one order, but not
	// always one that the rules accept.
	order orderCounts
	// pools counts the members that take items of each pool (a set of things that exist
	// once, such as PersistentVolumes without a claim).
	pools poolCounts
	// conflicts counts, for each conflict (a combination that the filters have refused), its
	// terms that this placement fulfils.
	conflicts conflictCounts
	stats     *Stats
}

// use is a node that holds members of the gang, or that may hold fewer members of a role
// than its resources allow: the caller's limit for the role (Role.Limit), a node limit (such
// as a most number of volumes) or an earlier refusal by the scheduler's filters says so.
type use struct {
	pos     int32
	members int32 // put here by this placement
	bound   bool  // a member of the gang already runs here
}

// perRole is what this placement knows of one role on one node that it has touched.
type perRole struct {
	put   int32 // members of the role that this placement put on the node
	limit int32 // most members that may be put on the node, whatever its resources
	slots int32 // number of further members of the role that fit on the node
}

// place says that the node at pos holds n members of a batch (members of one role that
// are placed together), of one slice (a run of members that belong together) if the batch
// has slices.
type place struct {
	batch, slice, pos, n int32
}

func newPartial(p *problem) *partial {
	f := p.snap.fabric
	b := &partial{
		p: p, f: f, stats: p.stats, offers: railOffers{}, apart: newApartCounts(p), order: newOrderCounts(p), pools: newPoolCounts(p.pools),
		conflicts: newConflictCounts(p),
		slot:      newPages[int32](len(f.names)),
		sums:      make([][][]int64, len(p.roles)),
		opened:    make([][]int32, f.levels+1),
		crossed:   make([]int64, f.levels+2),
		room:      make([]int64, f.levels+2),
	}
	for d := range b.opened {
		b.opened[d] = make([]int32, len(f.tables[d].verts))
	}
	for r := range p.roles {
		if p.roles[r].limited {
			b.sums[r] = p.allowedSums(r)
		}
	}
	for _, pos := range p.bound {
		b.bind(pos)
	}
	b.poolBound()
	for r := range p.roles {
		for _, l := range p.roles[r].limits {
			b.restrict(r, l.pos, l.most)
		}
	}
	return b
}

// poolBound adds the members that already run to the counts of members that take items of
// pools.
func (pp *partial) poolBound() {
	for r := range pp.p.roles {
		if !pp.p.roles[r].pooled {
			continue
		}
		for _, pos := range pp.p.roles[r].bound {
			if pos >= 0 {
				pp.pools.change(r, pos, 1)
			}
		}
	}
}

// touch returns the index in uses of the node at pos. It creates a missing entry.
func (pp *partial) touch(pos int32) int {
	if i := pp.slot.at(pos); i > 0 {
		return int(i - 1)
	}
	c := pp.p.snap.class(pos)
	pp.uses = append(pp.uses, use{pos: pos})
	for i := range pp.p.dims {
		pp.remaining = append(pp.remaining, pp.p.dims[i].free(c))
	}
	for r := range pp.p.roles {
		pp.per = append(pp.per, perRole{limit: maxSlots, slots: pp.p.slotsAt(r, pos)})
	}
	pp.slot.set(pos, int32(len(pp.uses)))
	return len(pp.uses) - 1
}

// slots returns how many more members of a role the node at pos can hold, by counts of
// resources and devices, rules between members and items of pools.
func (pp *partial) slots(role int, pos int32) int32 {
	slots := pp.slotsByCount(role, pos)
	if slots > 0 && pp.p.roles[role].linked {
		return pp.linkedSlots(role, pos, slots)
	}
	return slots
}

// linkedSlots lowers slots, the number of further members of a role that fit on the node at
// pos by counts, to what rules between members, conflicts and items of pools allow.
func (pp *partial) linkedSlots(role int, pos, slots int32) int32 {
	r := &pp.p.roles[role]
	if len(r.apart) > 0 {
		slots = min(slots, pp.apart.room(role, pos, false))
	}
	if r.ordered() {
		slots = min(slots, pp.order.room(role, pos))
	}
	if len(r.conflicts) > 0 {
		room, _ := pp.conflicts.room(role, pos, pp.on(role, pos))
		slots = min(slots, room)
	}
	if slots > 0 && r.pooled {
		room, _ := pp.pools.room(role, pos)
		slots = min(slots, room)
	}
	return slots
}

// ruled reports whether an AntiAffinity, Spread or Affinity rule names the role, or a
// conflict (a combination of members on nodes that the filters have refused).
func (r *role) ruled() bool { return len(r.apart)+len(r.conflicts) > 0 || r.ordered() }

// slotsByCount returns how many more members of a role the node at pos can hold. It
// ignores the rules between members on several nodes, pools and conflicts.
func (pp *partial) slotsByCount(role int, pos int32) int32 {
	if i := pp.slot.at(pos); i > 0 {
		return pp.per[int(i-1)*len(pp.p.roles)+role].slots
	}
	return pp.p.slotsAt(role, pos)
}

// on returns how many members of a role this placement has put on the node at pos.
func (pp *partial) on(role int, pos int32) int32 {
	if i := pp.slot.at(pos); i > 0 {
		return pp.per[int(i-1)*len(pp.p.roles)+role].put
	}
	return 0
}

// pristine returns true if the node at pos has the same state as unused nodes of its
// class (nodes of equal free capacity): no member is on the node, and no limit of a role was
// found for it.
func (pp *partial) pristine(pos int32) bool {
	i := pp.slot.at(pos)
	if i == 0 {
		return true
	}
	u := &pp.uses[i-1]
	if u.bound || u.members > 0 {
		return false
	}
	n := len(pp.p.roles)
	for _, r := range pp.per[int(i-1)*n : int(i)*n] {
		if r.limit < maxSlots {
			return false
		}
	}
	return true
}

// used returns true if the node at pos holds a member of the gang.
func (pp *partial) used(pos int32) bool {
	i := pp.slot.at(pos)
	return i > 0 && (pp.uses[i-1].members > 0 || pp.uses[i-1].bound)
}

// isOpen returns true if the vertex (a domain or node) holds a member of the gang.
func (pp *partial) isOpen(depth int, v int32) bool {
	if depth > pp.f.levels {
		return pp.used(v)
	}
	return pp.opened[depth][v] > 0
}

// sum returns how many more members of a role fit in vertex v, by counts.
func (pp *partial) sum(role, depth int, v int32) int64 {
	if depth > pp.f.levels {
		return int64(pp.slots(role, v))
	}
	if s := pp.sums[role]; s != nil {
		return s[depth][v]
	}
	return pp.p.roles[role].roll.sum[depth][v]
}

// put places n members of a batch on the node at pos and appends this to the log.
func (pp *partial) put(batch, slice, pos, n int32) {
	pp.log = append(pp.log, place{batch, slice, pos, n})
	pp.change(pp.p.batches[batch].role, pos, n)
}

// undo removes all members put after the log had length mark.
func (pp *partial) undo(mark int) {
	for i := len(pp.log) - 1; i >= mark; i-- {
		l := pp.log[i]
		pp.change(pp.p.batches[l.batch].role, l.pos, -l.n)
	}
	pp.log = pp.log[:mark]
}

// change adds n members of a role to the node at pos. A negative n removes members.
func (pp *partial) change(role int, pos, n int32) {
	i := pp.touch(pos)
	was := pp.used(pos)
	r := &pp.p.roles[role]
	per := &pp.per[i*len(pp.p.roles)+role]
	if len(r.roll.shape.pairs) > 0 && max(per.put, per.put+n) > r.roll.clean.at(pos) {
		c := pp.p.snap.class(pos)
		pp.unpaired += r.roll.shape.unpaired(c, per.put+n) - r.roll.shape.unpaired(c, per.put)
	}
	per.put += n
	pp.uses[i].members += n
	for d, take := range r.takes {
		pp.remaining[i*len(pp.p.dims)+d] -= take * int64(n)
	}
	if r.linked {
		pp.changeLinked(role, pos, n, per.put)
	}
	pp.recount(i)
	if is := pp.used(pos); is != was {
		pp.mark(pos, is)
	}
}

// changeLinked updates the rules between members, the conflicts (combinations that the filters
// have refused) and the pools (items of which members take some). The node at pos has n members
// more of a role, and now holds put of them.
func (pp *partial) changeLinked(role int, pos, n, put int32) {
	pp.conflicts.change(role, pos, put-n, put)
	pp.apart.change(role, pos, n)
	pp.order.change(role, pos, n)
	if pp.p.roles[role].pooled {
		pp.pools.change(role, pos, n)
	}
}

// recount recomputes how many more members of every role fit on the node uses[i]. It
// updates the sums of the vertices above the node.
func (pp *partial) recount(i int) {
	n := len(pp.p.roles)
	rem := pp.remaining[i*len(pp.p.dims) : (i+1)*len(pp.p.dims)]
	pos := pp.uses[i].pos
	for r := range pp.p.roles {
		per := &pp.per[i*n+r]
		role := &pp.p.roles[r]
		s := min(pp.p.slotsAt(r, pos), per.limit) - per.put
		for d, take := range role.takes {
			if take > 0 && int64(s)*take > rem[d] {
				s = int32(rem[d] / take)
			}
		}
		if role.linked {
			s = min(s, pp.linkedRoom(r, i))
		}
		s = max(s, 0)
		if s != per.slots {
			pp.adjust(r, pos, int64(s-per.slots))
			per.slots = s
		}
	}
}

// linkedRoom returns how many more members of a role fit on the node uses[i] by the anti-affinity
// rules within a node and by the node limits (such as the attach limit of a storage driver).
func (pp *partial) linkedRoom(role, i int) int32 {
	pos := pp.uses[i].pos
	room := pp.apart.room(role, pos, true)
	if pp.p.roles[role].counted {
		n := len(pp.p.roles)
		most, _ := limitRoom(pp.p.nodeLimits, role, pos, func(other int) int32 { return pp.per[i*n+other].put })
		room = min(room, most)
	}
	return room
}

func (pp *partial) adjust(role int, pos int32, delta int64) {
	if pp.sums[role] == nil {
		for _, s := range pp.p.roles[role].roll.sum {
			pp.sums[role] = append(pp.sums[role], slices.Clone(s))
		}
	}
	for d, s := range pp.sums[role] {
		s[pp.f.tables[d].of[pos]] += delta
	}
}

// mark updates the counts of the vertices above the node at pos after it became used
// (open) or unused.
func (pp *partial) mark(pos int32, open bool) {
	lead := pp.p.roles[0].roll
	pp.count(pp.f.levels+1, int64(lead.slots.at(pos)), open)
	for d := 0; d <= pp.f.levels; d++ {
		v := pp.f.tables[d].of[pos]
		o := &pp.opened[d][v]
		if open {
			*o++
		}
		if *o == 1 {
			pp.count(d, lead.sum[d][v], open)
		}
		if !open {
			*o--
		}
	}
}

func (pp *partial) count(depth int, room int64, open bool) {
	if open {
		pp.crossed[depth]++
		pp.room[depth] += room
		return
	}
	pp.crossed[depth]--
	pp.room[depth] -= room
}

// bind marks the node at pos, on which a member already runs, as used.
func (pp *partial) bind(pos int32) {
	i := pp.touch(pos)
	was := pp.used(pos)
	pp.uses[i].bound = true
	if !was {
		pp.mark(pos, true)
	}
}

// restrict lowers the limit of a role on the node at pos to the argument most.
func (pp *partial) restrict(role int, pos, most int32) {
	i := pp.touch(pos)
	per := &pp.per[i*len(pp.p.roles)+role]
	if most < per.limit {
		per.limit = most
		pp.recount(i)
	}
}
