// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// slicer puts whole slices (runs of members that belong together) into a domain: a vertex of
// the network tree, such as a rack. Each slice must be inside one domain of depth at. Above
// this depth slicer counts slices, below it members.
type slicer struct {
	partial *partial
	batch   int32
	// Each slice must be inside one domain of depth at. must has further depths, 0 for none:
	// a slice must not use nodes that are in no domain of such a depth. spread is the depth
	// of which each domain may hold one slice of a role, 0 for none.
	at     int
	must   [4]int
	spread int
	// taken has, by role (a set of equal members), the domains of depth spread that hold a
	// slice.
	taken map[spreadKey]bool
	// rooms has, by depth and vertex, the number of slices that fit.
	rooms [][]int64
	next  int32 // the number of the next slice of the batch
}

// spreadKey is a role and a domain of the role's level Slice.Spread, of which each domain
// may hold one slice of the role.
type spreadKey struct {
	role int
	v    int32
}

// fillBatch puts all members of a batch (slices of one role, or members of a role without
// slices, that are placed together) into the domain with vertex v. If it returns false,
// it has put only some of the members, and the caller must undo this.
func (pp *partial) fillBatch(batch int32, depth int, v int32, taken map[spreadKey]bool) bool {
	return pp.fillSome(batch, depth, v, taken) == pp.p.batches[batch].total()
}

// fillSome puts as many members of a batch into a domain as fit, in whole slices. It
// returns their number. First it puts each slice into one domain of the preferred level,
// while such domains have room, then into one of the required level. If the whole domain
// lies in one of the required level, or there is none, the slices left go anywhere in it.
func (pp *partial) fillSome(batch int32, depth int, v int32, taken map[spreadKey]bool) int64 {
	x := &pp.p.batches[batch]
	if !x.sliced {
		return pp.fill(batch, depth, v, x.total())
	}
	u := x.rule
	s := slicer{partial: pp, batch: batch, must: [4]int{u.required, u.coarser}, spread: u.spread, taken: taken}
	may := s.allowed(depth, v)
	left := may
	if u.preferred > 0 {
		at := max(u.preferred, u.required)
		s.must[2], s.must[3] = u.preferred, at
		if at > depth && left > 0 {
			left -= s.run(at, depth, v, left)
		}
		s.must[2], s.must[3] = 0, 0
	}
	if u.required > depth && left > 0 {
		left -= s.run(u.required, depth, v, left)
	}
	if u.required <= depth && left > 0 {
		left -= s.loose(depth, v, left)
	}
	if depth >= u.spread && left < may {
		s.take(depth, v)
	}
	return (may - left) * int64(x.size)
}

// allowed returns the most slices of the batch that the levels at or above vertex v allow
// in v. It is 0 if v is in no domain of a level that slices must be in. If v is in a domain
// of level Slice.Spread, whose domains may hold one slice of a role each, it is 0 if this
// domain holds a slice of the role, else 1. Otherwise it is the number of slices in the batch.
func (s *slicer) allowed(depth int, v int32) int64 {
	x := &s.partial.p.batches[s.batch]
	lo, _ := s.partial.f.span(depth, v)
	for _, d := range s.must {
		if d > 0 && d <= depth && !s.partial.f.real(d, s.partial.f.at(d, lo)) {
			return 0
		}
	}
	if s.spread == 0 || s.spread > depth {
		return int64(x.count)
	}
	at := s.partial.f.at(s.spread, lo)
	if s.taken[spreadKey{x.role, at}] {
		return 0
	}
	return 1
}

// take marks the domain of level Slice.Spread at or above vertex v as one that holds a
// slice.
func (s *slicer) take(depth int, v int32) {
	if s.spread > 0 {
		lo, _ := s.partial.f.span(depth, v)
		s.taken[spreadKey{s.partial.p.batches[s.batch].role, s.partial.f.at(s.spread, lo)}] = true
	}
}

// run puts up to want slices into domains of depth at, each slice into one domain, below
// vertex v. It returns the number placed.
func (s *slicer) run(at, depth int, v int32, want int64) int64 {
	s.at = at
	s.rooms = make([][]int64, s.partial.f.levels+1)
	for d := depth; d <= s.partial.f.levels; d++ {
		s.rooms[d] = make([]int64, len(s.partial.f.tables[d].verts))
	}
	s.measure(depth, v)
	return s.fill(depth, v, want)
}

// measure returns the number of slices that fit below a vertex and stores it in rooms.
func (s *slicer) measure(depth int, v int32) int64 {
	x := &s.partial.p.batches[s.batch]
	var n int64
	switch {
	case depth > 0 && slices.Contains(s.must[:], depth) && !s.partial.f.real(depth, v):
	case depth == s.at:
		n = s.partial.sum(x.role, depth, v) / int64(x.size)
	default:
		t := &s.partial.f.tables[depth].verts[v]
		for k := t.kidLo; k < t.kidHi; k++ {
			n += s.measure(depth+1, k)
		}
	}
	if depth == s.spread && n > 0 {
		n = 1
		if s.taken[spreadKey{x.role, v}] {
			n = 0
		}
	}
	if depth <= s.partial.f.levels {
		s.rooms[depth][v] = n
	}
	s.partial.p.steps++
	return n
}

// fill puts up to want slices of the batch into vertex v and returns the number placed.
func (s *slicer) fill(depth int, v int32, want int64) int64 {
	if depth == s.at {
		return s.fillDomain(depth, v, want)
	}
	t := &s.partial.f.tables[depth].verts[v]
	var k picker
	for c := t.kidLo; c < t.kidHi; c++ {
		k.add(option{id: c, room: s.room(depth+1, c)}, s.partial.isOpen(depth+1, c))
	}
	k.ready()
	left := want
	for left > 0 {
		o, ok := k.next(left)
		if !ok {
			break
		}
		got := s.fill(depth+1, o.id, min(left, o.room))
		left -= got
	}
	if depth == s.spread && left < want {
		s.take(depth, v)
	}
	return want - left
}

func (s *slicer) room(depth int, v int32) int64 {
	if depth <= s.partial.f.levels {
		return s.rooms[depth][v]
	}
	return s.measure(depth, v)
}

// fillDomain puts up to want slices into a domain of depth at and returns the number
// placed.
func (s *slicer) fillDomain(depth int, v int32, want int64) int64 {
	got := s.loose(depth, v, want)
	if depth == s.spread && got > 0 {
		s.take(depth, v)
	}
	return got
}

// loose puts up to want whole slices into the domain with vertex v and returns the number
// placed. Members of a slice may be anywhere in the domain.
func (s *slicer) loose(depth int, v int32, want int64) int64 {
	size := int64(s.partial.p.batches[s.batch].size)
	mark := len(s.partial.log)
	got := s.partial.fill(s.batch, depth, v, want*size)
	for got%size != 0 {
		s.partial.undo(mark)
		want = got / size
		got = s.partial.fill(s.batch, depth, v, want*size)
	}
	s.cut(mark, int32(size))
	return got / size
}

// cut divides the members that the log (the places in the order of the search) has after
// index mark into slices, in fabric order (the order of the nodes in the tree).
func (s *slicer) cut(mark int, size int32) {
	puts := slices.Clone(s.partial.log[mark:])
	slices.SortFunc(puts, func(a, b place) int { return cmp.Compare(a.pos, b.pos) })
	s.partial.log = s.partial.log[:mark]
	left := size
	for _, l := range puts {
		for l.n > 0 {
			n := min(l.n, left)
			s.partial.log = append(s.partial.log, place{l.batch, s.next, l.pos, n})
			l.n -= n
			if left -= n; left == 0 {
				left = size
				s.next++
			}
		}
	}
}
