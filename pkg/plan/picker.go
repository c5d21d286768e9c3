// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// option is a child of a domain (such as a rack): a smaller domain or a node. room is how
// many members of a gang, or slices (runs of members that belong together), fit in it.
type option struct {
	id   int32
	room int64
	// off is true if the child lacks the rail (index of an alignment unit) that most
	// others offer.
	off bool
}

// picker returns the children of a domain, each once, in an order that uses few unused
// children and leaves little room in them. Children that hold members come first. Then comes
// the smallest child that holds all wanted members, or else the largest. Ties go to
// children with the common rail (the alignment unit that most others offer), then to the
// child that is first in the topology tree.
type picker struct {
	open   []option
	closed []option // unused children, a heap with the largest room first
}

func (k *picker) add(o option, open bool) {
	if o.room <= 0 {
		return
	}
	if open {
		k.open = append(k.open, o)
		return
	}
	k.closed = append(k.closed, o)
}

// ready must be called once after the last add. It makes the heap of unused children.
func (k *picker) ready() { heapify(k.closed, roomier) }

// next removes and returns the best child for want members (or slices). It returns false
// if none is left.
func (k *picker) next(want int64) (option, bool) {
	if len(k.open) > 0 {
		i := bestOf(k.open, want)
		o := k.open[i]
		k.open = append(k.open[:i], k.open[i+1:]...)
		return o, true
	}
	if len(k.closed) == 0 {
		return option{}, false
	}
	i := 0
	if k.closed[0].room > want {
		i = bestOf(k.closed, want)
	}
	var o option
	o, k.closed = removeAt(k.closed, i, roomier)
	return o, true
}

// bestOf returns the index of the smallest option with enough room, or else of the largest.
func bestOf(opts []option, want int64) int {
	best := 0
	for i := 1; i < len(opts); i++ {
		if better(opts[i], opts[best], want) {
			best = i
		}
	}
	return best
}

func better(a, b option, want int64) bool {
	if ea, eb := a.room >= want, b.room >= want; ea != eb {
		return ea
	} else if a.room != b.room {
		return ea == (a.room < b.room)
	}
	return a.first(b)
}

// first reports whether o comes before p if they have equal room: o offers the common rail
// and p does not, or they do not differ in this and o has the lower id.
func (o option) first(p option) bool {
	if o.off != p.off {
		return p.off
	}
	return o.id < p.id
}

// roomier is the order of the heap of unused children: the largest room is first.
func roomier(a, b *option) bool { return a.room > b.room || a.room == b.room && a.first(*b) }
