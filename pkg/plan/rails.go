// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// maxRails is the maximum number of alignment units (such as PCIe roots, each with a NIC) of
// a node that are considered. Real nodes have fewer NICs.
const maxRails = 64

// railOffers caches, by role (a set of equal members) and class of nodes (nodes of equal
// free capacity), which alignment units each hold all devices of a member (a pod), with one
// bit for each unit.
type railOffers map[offerKey]uint64

type offerKey struct {
	role  int
	class int32
}

// of returns the alignment units (such as PCIe roots) of an unused node of a class that
// each hold all the devices of one member of a role, with one bit for each unit.
func (o railOffers) of(role int, need *Need, c *class) uint64 {
	key := offerKey{role, c.id}
	if set, cached := o[key]; cached {
		return set
	}
	var set uint64
	var r rails
	for i := range c.units[:min(len(c.units), maxRails)] {
		if r.holds(&c.units[i], need) {
			set |= 1 << i
		}
	}
	o[key] = set
	return set
}

// rails picks the alignment unit (such as a PCIe root) for each member's devices: the unit
// with the same index (the rail) on every node, if the nodes of the role offer it.
type rails struct {
	p *problem
	// left has, by node position (the index of a node), the node's alignment units with
	// the devices that are still free.
	left map[int32][]Unit
	// votes counts, by role and index of a unit, the members that already got the unit.
	votes [][]int
	trial Unit
	// pos is the node of the last unitsOf call. units are the free devices of its units.
	pos   int32
	units []Unit
}

func newRails(p *problem) *rails {
	return &rails{p: p, left: map[int32][]Unit{}, votes: make([][]int, len(p.roles))}
}

// take returns the index of an alignment unit on the node at pos that holds all the
// devices of one member, and takes these devices. Of several units it takes the one whose
// index most members of the role have got. It returns -1 if no unit holds all the devices.
func (r *rails) take(role int, pos int32) int {
	need := &r.p.roles[role].spec.Need
	if need.devices() == 0 {
		return -1
	}
	units := r.unitsOf(pos)
	best := -1
	for i := range units {
		if (best < 0 || r.voted(role, i) > r.voted(role, best)) && r.holds(&units[i], need) {
			best = i
		}
	}
	if best >= 0 {
		units[best].remove(need)
		for len(r.votes[role]) <= best {
			r.votes[role] = append(r.votes[role], 0)
		}
		r.votes[role][best]++
	}
	return best
}

// unitsOf returns the alignment units of the node at pos without the devices of earlier
// members.
func (r *rails) unitsOf(pos int32) []Unit {
	if pos == r.pos && r.units != nil {
		return r.units
	}
	units, ok := r.left[pos]
	if !ok {
		units = cloneUnits(r.p.snap.class(pos).units)
		r.left[pos] = units
	}
	r.pos, r.units = pos, units
	return units
}

func (r *rails) voted(role, unit int) int {
	if unit < len(r.votes[role]) {
		return r.votes[role][unit]
	}
	return 0
}

func cloneUnits(in []Unit) []Unit {
	kinds := 0
	for i := range in {
		kinds += len(in[i].Free)
	}
	all := make([]int, 0, kinds)
	out := make([]Unit, len(in))
	for i := range in {
		from := len(all)
		all = append(all, in[i].Free...)
		out[i].Free = all[from:len(all):len(all)]
	}
	return out
}

// holds returns true if the alignment unit has all the devices of a need.
func (r *rails) holds(u *Unit, n *Need) bool {
	if len(n.Devices) > 0 && u.count(n.Devices[0].Kinds) < int64(n.Devices[0].Count) {
		return false
	}
	r.trial.Free = append(r.trial.Free[:0], u.Free...)
	return r.trial.remove(n)
}

// remove subtracts the devices of a need from an alignment unit, in the order of the
// kinds. It returns false if the unit does not have enough.
func (u *Unit) remove(n *Need) bool {
	for i := range n.Devices {
		missing := n.Devices[i].Count
		for _, k := range n.Devices[i].Kinds {
			if k < len(u.Free) && u.Free[k] > 0 {
				t := min(missing, u.Free[k])
				u.Free[k] -= t
				missing -= t
			}
		}
		if missing > 0 {
			return false
		}
	}
	return true
}
