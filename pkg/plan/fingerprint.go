// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// fingerprint identifies the contents of a domain: how many nodes with each free capacity
// (class) are in each subdomain, in any order. It has two sums over differently mixed
// hashes. A collision is as unlikely as a memory error. The search may skip a domain that
// has the fingerprint of a domain tried before.
type fingerprint struct{ a, b uint64 }

func (l *fingerprint) add(x fingerprint) {
	l.a += mix(x.a, 0xbf58476d1ce4e5b9)
	l.b += mix(x.b, 0x94d049bb133111eb)
}

func mix(x, by uint64) uint64 {
	x = (x ^ x>>31) * by
	x = (x ^ x>>27) * 0x9e3779b97f4a7c15
	return x ^ x>>33
}

// fingerprint identifies the contents of the domain with vertex v (its index at the depth),
// and which levels above the domain are missing. plain is false if a node in the domain
// differs from other nodes of equal free capacity: it holds a member, or a refusal of the
// filters, Role.Limit or a node limit (such as the attach limit of a storage driver)
// restricts it.
func (pp *partial) fingerprint(depth int, v int32) (l fingerprint, plain bool) {
	l, plain = pp.contents(depth, v)
	for d, up := depth-1, v; d > 0; d-- {
		up = pp.f.parent(d+1, up)
		if !pp.f.real(d, up) {
			l.add(fingerprint{uint64(d), uint64(d)})
		}
	}
	return l, plain
}

func (pp *partial) contents(depth int, v int32) (l fingerprint, plain bool) {
	f := pp.f
	if depth > f.levels {
		return pp.p.contentsOf(v), pp.pristine(v)
	}
	x := &f.tables[depth].verts[v]
	l = fingerprint{uint64(depth), uint64(depth)}
	if x.virtual {
		l.a++
	}
	if depth == f.levels {
		return pp.addNodes(l, x)
	}
	for k := x.kidLo; k < x.kidHi; k++ {
		kid, plain := pp.contents(depth+1, k)
		if !plain {
			return l, false
		}
		l.add(kid)
	}
	return l, true
}

// addNodes adds the nodes of a domain of the finest level to its fingerprint.
func (pp *partial) addNodes(l fingerprint, x *vertex) (with fingerprint, plain bool) {
	for pos := x.kidLo; pos < x.kidHi; pos++ {
		if !pp.pristine(pos) {
			return l, false
		}
		l.add(pp.p.contentsOf(pos))
	}
	return l, true
}

// contentsOf returns the fingerprint of the node at pos: of its free capacity and of what the
// request says about this node alone.
func (p *problem) contentsOf(pos int32) fingerprint {
	h := p.snap.class(pos).hash
	if len(p.marks) > 0 {
		h ^= p.marks[pos]
	}
	return fingerprint{h, h}
}
