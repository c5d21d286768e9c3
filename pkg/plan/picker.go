// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// option is a child of a domain with room for something.
type option struct {
	id   int32
	room int64
	// off says that it lacks the rail that the others share.
	off bool
}

// picker hands out the children of a domain so that few new ones are opened and
// little room is left in them: children already in use first, then the smallest
// that holds all that is wanted, else the largest. Each is handed out once, and
// equal ones on the common rail first, then in fabric order.
type picker struct {
	open   []option
	closed []option // a heap, largest room first
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

// ready must be called once after the last add.
func (k *picker) ready() {
	for i := len(k.closed)/2 - 1; i >= 0; i-- {
		k.sink(i)
	}
}

// next takes out the best child for what is wanted.
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
	o := k.closed[i]
	k.remove(i)
	return o, true
}

// bestOf finds the smallest option with enough room, else the largest.
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

// first orders options with equal room.
func (o option) first(p option) bool {
	if o.off != p.off {
		return p.off
	}
	return o.id < p.id
}

func (k *picker) before(i, j int) bool {
	a, b := k.closed[i], k.closed[j]
	return a.room > b.room || a.room == b.room && a.first(b)
}

func (k *picker) sink(i int) {
	for {
		c := 2*i + 1
		if c >= len(k.closed) {
			return
		}
		if c+1 < len(k.closed) && k.before(c+1, c) {
			c++
		}
		if !k.before(c, i) {
			return
		}
		k.closed[i], k.closed[c] = k.closed[c], k.closed[i]
		i = c
	}
}

func (k *picker) remove(i int) {
	last := len(k.closed) - 1
	k.closed[i] = k.closed[last]
	k.closed = k.closed[:last]
	if i == last {
		return
	}
	for up := (i - 1) / 2; i > 0 && k.before(i, up); up = (i - 1) / 2 {
		k.closed[i], k.closed[up] = k.closed[up], k.closed[i]
		i = up
	}
	k.sink(i)
}
