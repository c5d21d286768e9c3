// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// Spare is what a placement leaves free on one of its nodes. Other pods that take no more than
// this leave enough for the placement, whichever devices of a kind they take.
type Spare struct {
	Node string
	// Resources and Kinds have amounts by index in Layout.Resources and Layout.Kinds.
	Resources, Kinds []int64
}

// spareOf returns what assignments of the gang leave free on their nodes, in the order of
// the tree.
func spareOf(s *Snapshot, g *Gang, assignments []Assignment) []Spare {
	needs := map[string]*Need{}
	for i := range g.Roles {
		needs[g.Roles[i].Name] = &g.Roles[i].Need
	}
	taken := map[int32][]*Need{}
	for i := range assignments {
		if pos, ok := s.fabric.pos(assignments[i].Node); ok {
			taken[pos] = append(taken[pos], needs[assignments[i].Role])
		}
	}
	out := make([]Spare, 0, len(taken))
	for _, pos := range sortedKeys(taken) {
		out = append(out, s.spareAt(pos, taken[pos]))
	}
	return out
}

// spareAt returns what members with these needs leave free on the node at position pos. If a
// need requires aligned devices (devices close to each other), no device of its kinds is spare:
// other pods might take devices such that the remaining ones are not aligned.
func (s *Snapshot) spareAt(pos int32, needs []*Need) Spare {
	c := s.class(pos)
	out := Spare{Node: s.fabric.names[pos], Resources: make([]int64, len(s.layout.Resources)), Kinds: make([]int64, len(s.layout.Kinds))}
	for i := range out.Resources {
		out.Resources[i] = max(0, c.resource(i))
		for _, n := range needs {
			if i < len(n.Resources) {
				out.Resources[i] = max(0, out.Resources[i]-n.Resources[i])
			}
		}
	}
	m := deviceMatch{left: out.Kinds}
	for k := range m.left {
		m.left[k] = c.devices([]int{k})
	}
	for _, n := range needs {
		for i := range n.Devices {
			m.take(&n.Devices[i])
		}
	}
	for _, n := range needs {
		if n.Aligned {
			n.clearKinds(out.Kinds)
		}
	}
	return out
}

// clearKinds sets to 0 the amounts of the device kinds that the need may take.
func (n *Need) clearKinds(amounts []int64) {
	for i := range n.Devices {
		for _, k := range n.Devices[i].Kinds {
			if k < len(amounts) {
				amounts[k] = 0
			}
		}
	}
}

// deviceMatch divides the devices of one node, by kind, among the device needs of the members
// on it. A need that may take several kinds changes to another kind if a later need has no
// other choice.
type deviceMatch struct {
	// left has, by kind, the number of devices that no need has.
	left []int64
	// given has the needs so far, with their devices.
	given []kindsGiven
}

// kindsGiven is a need with the number of devices that it has, by kind.
type kindsGiven struct {
	need   *DeviceNeed
	counts []int64
}

// take gives a need its devices. The caller knows that there are enough for all needs.
func (m *deviceMatch) take(n *DeviceNeed) {
	if n.Count <= 0 {
		return
	}
	m.given = append(m.given, kindsGiven{need: n, counts: make([]int64, len(m.left))})
	for range n.Count {
		if !m.takeOne(len(m.given)-1, make([]bool, len(m.given))) {
			return
		}
	}
}

// takeOne gives the need at index i one more device, and returns false if there is none. If no
// device of its kinds is left, it takes the device of another need, which then takes another
// device in the same way (an augmenting path). seen marks the needs that were tried.
func (m *deviceMatch) takeOne(i int, seen []bool) bool {
	seen[i] = true
	to := &m.given[i]
	for _, k := range to.need.Kinds {
		if k < len(m.left) && m.left[k] > 0 {
			m.left[k]--
			to.counts[k]++
			return true
		}
	}
	for j := range m.given {
		if seen[j] {
			continue
		}
		for _, k := range to.need.Kinds {
			other := &m.given[j]
			if k >= len(m.left) || other.counts[k] == 0 || seen[j] || !m.takeOne(j, seen) {
				continue
			}
			other.counts[k]--
			to.counts[k]++
			return true
		}
	}
	return false
}

// Admit reports whether other pods may be placed before the gang of the reservation without
// delaying the gang. It returns the reservation with what these pods leave spare, and does not
// change r. uses is what the pods take, and ends is the time by which they have ended, 0 if it
// is unknown. Pods that end by Start may use any node. Others may use the nodes of the
// reservation only within what is spare there.
//
// The gang then starts no later, provided that its filters and its rules about existing pods
// accept its nodes with the other pods on them.
func (r Reservation) Admit(uses []Usage, ends int64) (Reservation, bool) {
	if ends > 0 && ends <= r.Start {
		return r, true
	}
	index := map[string]int{}
	for i := range r.Spare {
		index[r.Spare[i].Node] = i
	}
	spare := slices.Clone(r.Spare)
	for i := range uses {
		at, ok := index[uses[i].Node]
		if !ok {
			continue
		}
		s := &spare[at]
		s.Resources, s.Kinds = slices.Clone(s.Resources), slices.Clone(s.Kinds)
		if !s.take(&uses[i]) {
			return r, false
		}
	}
	r.Spare = spare
	return r, true
}

// take subtracts what a usage takes from the spare amounts, and returns false if they are too
// small.
func (s *Spare) take(u *Usage) bool {
	if !subtract(s.Resources, u.Resources) {
		return false
	}
	for i := range u.Units {
		if !subtract(s.Kinds, u.Units[i].Free) {
			return false
		}
	}
	return true
}

// subtract subtracts amounts from others, and returns false if one of these is too small.
func subtract[A int | int64](from []int64, amounts []A) bool {
	for i, amount := range amounts {
		v := int64(amount)
		if v > 0 && (i >= len(from) || from[i] < v) {
			return false
		}
		if i < len(from) {
			from[i] -= v
		}
	}
	return true
}
