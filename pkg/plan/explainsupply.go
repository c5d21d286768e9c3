// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// causeOfSupply returns the cause, as an index of causeCounts (the nodes counted by cause),
// for a role without room on the node at pos: the node limit (such as the attach limit of a
// storage driver) or the pool (items, such as volumes, of which members take some) that has
// none left, else causeFilter.
func (p *problem) causeOfSupply(pp *partial, role int, pos int32) int {
	r := &p.roles[role]
	if r.limited && !r.only[pos] {
		return causeFilter
	}
	if r.counted {
		on := func(other int) int32 { return pp.on(other, pos) }
		if room, l := limitRoom(p.nodeLimits, role, pos, on); room == 0 {
			return causes + len(p.dims) + l
		}
	}
	if r.pooled {
		if room, pool := pp.pools.room(role, pos); room == 0 {
			return causes + len(p.dims) + len(p.nodeLimits) + pool
		}
	}
	return causeFilter
}

// supplyName returns the name of the i-th node limit. After the node limits, i counts the
// pools.
func (p *problem) supplyName(i int) string {
	if i < len(p.nodeLimits) {
		return p.nodeLimits[i].name
	}
	return p.pools[i-len(p.nodeLimits)].name
}
