// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// refusedNode is a node that holds more members of a role than the filters (the caller's
// checks, such as the stock filter plugins) accept.
type refusedNode struct {
	role int
	pos  int32
}

// fitsPerStep is the number of filter calls that cost one step of the search budget
// (Options.Budget). A plan never asks twice about a role, a node and a number of members.
const fitsPerStep = 8

// admitted returns how many of n further members of a role the filters accept on the node
// at pos. It remembers a refusal. It calls the filters only for the last of the n
// members: filters that accept the last one accept the others, too (Fits is monotone).
func (pp *partial) admitted(role int, pos, n int32) int32 {
	if pp.p.filters == nil || n <= 0 {
		return n
	}
	on := pp.on(role, pos)
	if pp.fits(role, pos, on+n-1) {
		return n
	}
	pp.narrow(role, pos, on+n-1)
	return max(0, pp.limit(role, pos)-on)
}

// fits reports whether the filters accept one more member of a role on the node at pos.
// already is how many members of the role the node holds before. A plan calls the filters
// at most once for the same arguments.
func (pp *partial) fits(role int, pos, already int32) bool {
	key := fitsKey{int32(role), pos}
	accepted, called := pp.p.accepted[key]
	if called && already <= accepted {
		return true
	}
	if pp.stats.FitsCalls++; pp.stats.FitsCalls%fitsPerStep == 0 {
		pp.p.steps++
	}
	if !pp.p.filters(pp.p.roles[role].index, pp.f.names[pos], int(already)) {
		pp.stats.FitsRefused++
		return false
	}
	pp.p.accepted[key] = already
	return true
}

// limit returns the most members of a role that the node at pos may get, by Role.Limit,
// node limits (such as the attach limit of a storage driver) and the filters' refusals. The
// node must have an entry in partial.uses.
func (pp *partial) limit(role int, pos int32) int32 {
	return pp.per[int(pp.slot.at(pos)-1)*len(pp.p.roles)+role].limit
}

// verify calls the filters for every node in use. It returns the first node that holds
// more members of a role than the filters accept, or nil.
func (pp *partial) verify() *refusedNode {
	if pp.p.filters == nil {
		return nil
	}
	for i := range pp.uses {
		for r := range pp.p.roles {
			pos := pp.uses[i].pos
			if n := pp.on(r, pos); n > 0 && !pp.fits(r, pos, n-1) {
				pp.narrow(r, pos, n-1)
				return &refusedNode{r, pos}
			}
		}
	}
	return nil
}

// narrow finds how many members of a role the filters accept on the node at pos, after they
// refused member hi+1, and remembers the number. It first asks whether they accept any,
// because none is the usual answer.
func (pp *partial) narrow(role int, pos, hi int32) {
	lo := int32(0)
	if hi > 0 && pp.fits(role, pos, 0) {
		for lo = 1; lo < hi; {
			mid := lo + (hi-lo+1)/2
			if pp.fits(role, pos, mid-1) {
				lo = mid
			} else {
				hi = mid - 1
			}
		}
	}
	pp.restrict(role, pos, lo)
	pp.p.rememberLimit(role, pos, lo)
}
