// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// shape is a Need (the resources and devices that one member, a pod, takes) compiled for
// counting how many such members fit on a node.
type shape struct {
	need  Need
	hash  uint64
	dims  []dimension
	takes []int64 // what one member takes, by index in dims
	pairs []pairing
}

func newShape(n *Need) (*shape, error) {
	dims, err := dimensionsOf([]*Need{n})
	if err != nil {
		return nil, err
	}
	s := &shape{need: n.clone(), hash: n.hash(), dims: dims, pairs: pairingsOf(n)}
	for i := range dims {
		s.takes = append(s.takes, dims[i].demand(n))
	}
	return s, nil
}

// slots returns how many members with the need fit on a node of the class (nodes of equal
// free capacity), by counts of resources and devices.
func (s *shape) slots(c *class) int32 {
	if c.unschedulable {
		return 0
	}
	n := int64(maxSlots)
	if s.need.PerNode > 0 {
		n = min(n, int64(s.need.PerNode))
	}
	for i := range s.dims {
		n = min(n, s.dims[i].free(c)/s.takes[i])
	}
	if s.need.Aligned {
		n = min(n, int64(s.paired(c, int32(max(n, 0)))))
	}
	return int32(max(n, 0))
}

// unpaired returns how many follower devices (NICs) of k members on one node are in no
// alignment unit (such as a PCIe root) with an anchor (GPU) of these members. The result
// is convex in k and never decreases with k.
func (s *shape) unpaired(c *class, k int32) int64 {
	var sum int64
	for i := range s.pairs {
		p := &s.pairs[i]
		sum += max(0, int64(k)*p.count-p.reach(c, int64(k)*p.anchors))
	}
	return sum
}

// paired returns the most members, up to limit, that fit on a node of the class while
// every follower device (NIC) is in a unit with anchors (GPUs).
func (s *shape) paired(c *class, limit int32) int32 {
	if len(s.pairs) == 0 {
		return limit
	}
	lo, hi := int32(0), limit
	for lo < hi {
		mid := lo + (hi-lo+1)/2
		if s.unpaired(c, mid) == 0 {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}
