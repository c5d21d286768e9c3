// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// nodeLimit is a NodeLimit (how much the members of gangs on one node may take together,
// such as volumes) with indices instead of names.
type nodeLimit struct {
	name string
	// free has, by node position (the index of a node), the amount that members may still
	// take there. Other nodes have no limit.
	free map[int32]int32
	// own has, by role (a group of equal members), the amount that each member takes for
	// itself.
	own []int32
	// shared has, by role, the numbers of the things (such as volumes) that the role's
	// members share. Each thing takes an amount of one on a node. present has, by node
	// position, the numbers of the things that are on the node already and take nothing.
	shared  [][]int32
	present map[int32][]int32
}

// room returns how many more members of a role the limit allows on the node at pos. on
// returns how many members of a role the node holds now.
func (l *nodeLimit) room(role int, pos int32, on func(role int) int32) int32 {
	free, limited := l.free[pos]
	if !limited || l.own[role] == 0 && len(l.shared[role]) == 0 {
		return maxSlots
	}
	left := int64(free)
	there := slices.Clone(l.present[pos])
	count := func(role int) {
		for _, thing := range l.shared[role] {
			if !slices.Contains(there, thing) {
				there = append(there, thing)
				left--
			}
		}
	}
	for r := range l.own {
		if n := on(r); n > 0 {
			left -= int64(l.own[r]) * int64(n)
			count(r)
		}
	}
	before := left
	count(role)
	switch {
	case left < 0 && (left < before || l.own[role] > 0):
		return 0
	case l.own[role] == 0:
		return maxSlots
	}
	return int32(left / int64(l.own[role]))
}

// limitRoom returns how many more members of a role all the limits allow on the node at
// pos. on returns how many members of a role the node holds now. cause is the index of
// the limit that allows the fewest.
func limitRoom(limits []nodeLimit, role int, pos int32, on func(role int) int32) (room int32, cause int) {
	room = maxSlots
	for i := range limits {
		if n := limits[i].room(role, pos, on); n < room {
			room, cause = n, i
		}
	}
	return room, cause
}
