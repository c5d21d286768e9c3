// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// A cost is a vector of the terms in this order:
//
// wishes           preferred levels that are not kept
// domains LEVEL    domains used beyond the first: boundary levels (which RDMA cannot
//                  cross), then the other levels, each group from coarse to fine
// unpaired         follower devices (NICs) in an alignment unit (such as a PCIe root)
//                  without an anchor (GPU) of the same member
// nodes            nodes used
// room node        the leading role's slots (members that fit) on the used node, if a
//                  single node is used (the leading role has the fewest slots in the
//                  fabric)
// room LEVEL       the leading role's slots in the used domains, from the finest
//                  level up (fewer slots leave less room behind)
// room node        the leading role's slots on the used nodes, if several are used

// terms has the names of all terms of a cost vector, for the levels of a Layout (the list
// of the fabric's levels).
type terms struct {
	// depths has the depth of the level of each term "domains LEVEL", in the order of the
	// terms.
	depths []int
	names  []string
}

func termsOf(l *Layout) *terms {
	t := &terms{names: []string{"wishes"}}
	for _, boundary := range []bool{true, false} {
		for i, v := range l.Levels {
			if v.Boundary == boundary {
				t.depths = append(t.depths, i+1)
				t.names = append(t.names, "domains "+v.Name)
			}
		}
	}
	t.names = append(t.names, "unpaired", "nodes", "room "+NodeLevel)
	for d := len(l.Levels); d > 0; d-- {
		t.names = append(t.names, "room "+l.levelName(d-1))
	}
	t.names = append(t.names, "room "+NodeLevel)
	return t
}
