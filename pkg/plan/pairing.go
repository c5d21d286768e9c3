// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// pairing is a follower device need (NICs) that should be in the alignment units (such as
// PCIe roots) of the anchors (GPUs) of the same member. A member takes anchors devices of
// the kinds in anchor, and count devices of the kinds in follower. One anchor device pairs
// with up to ratio followers.
type pairing struct {
	anchor, follower kindSet
	anchors, count   int64
	ratio            int64
}

func pairingsOf(n *Need) []pairing {
	if len(n.Devices) == 0 || n.Devices[0].Count <= 0 {
		return nil
	}
	var out []pairing
	a := n.Devices[0]
	for _, d := range n.Devices[1:] {
		if d.Count <= 0 {
			continue
		}
		out = append(out, pairing{
			anchor: newKindSet(a.Kinds), follower: newKindSet(d.Kinds),
			anchors: int64(a.Count), count: int64(d.Count),
			ratio: int64((d.Count + a.Count - 1) / a.Count),
		})
	}
	return out
}

// reach returns the most followers that are in units with anchors on a node of the class
// (nodes of equal free capacity), for the best choice of this number of anchors. Each
// further anchor in a unit adds at most as much as the anchor before, so the greedy
// choice is exact.
func (p *pairing) reach(c *class, anchors int64) int64 {
	var full int64    // anchors with ratio followers beside them
	var buf [16]int64 // avoids an allocation: real nodes have few units
	remainders := buf[:0]
	for i := range c.units {
		a, f := c.units[i].count(p.anchor), c.units[i].count(p.follower)
		n := min(a, f/p.ratio)
		full += n
		if a > n && f%p.ratio > 0 {
			remainders = append(remainders, f%p.ratio)
		}
	}
	if anchors <= full {
		return anchors * p.ratio
	}
	sum := full * p.ratio
	slices.Sort(remainders)
	for left := anchors - full; left > 0 && len(remainders) > 0; left-- {
		sum += remainders[len(remainders)-1]
		remainders = remainders[:len(remainders)-1]
	}
	return sum
}

func (u *Unit) count(kinds []int) int64 {
	var n int64
	for _, k := range kinds {
		if k < len(u.Free) {
			n += int64(max(u.Free[k], 0))
		}
	}
	return n
}
