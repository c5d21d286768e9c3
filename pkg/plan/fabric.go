// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
	"sync"
)

// The tree has one vertex for the whole fabric at depth 0, the layout's levels at depths
// 1..levels, and the nodes at depth levels+1. Every node has a vertex at every depth. If a
// node lacks a level, its vertex at that depth represents the finer domain below it. If
// there is no finer domain, the vertex is virtual and holds only this node.

// branch is a vertex of the tree in the State (the planner's mutable model of the cluster).
// The type fabric is the immutable form of the tree.
type branch struct {
	name    string
	key     string
	virtual bool
	parent  *branch
	byKey   map[string]*branch // the branches in kids, by key
	kids    []*branch
	nodes   []*entry // the nodes directly below
	// unsorted is true while kids or nodes are out of order.
	unsorted bool
	// path has the domain names, coarsest level first, that all nodes directly below the
	// branch have in common.
	path []string
}

// entry is a node in the State's tree, below the branch home.
type entry struct {
	name  string
	class *class
	home  *branch
	pos   int32
}

// fabric is the immutable tree of domains. The position of a node is its index in fabric
// order, which is the order of the tree. The nodes of a vertex have consecutive
// positions.
type fabric struct {
	levels int
	// tables has the vertices of depths 0..levels.
	tables []table
	names  []string // by node position
	// byName has the position of each node by its name, once the method pos was called.
	once   sync.Once
	byName map[string]int32
}

// table holds the vertices of one depth, in fabric order.
type table struct {
	verts []vertex
	// of has, by node position, the index of the vertex that contains the node.
	of []int32
}

// vertex is a domain, or stands for a node that lacks the level (virtual).
type vertex struct {
	name    string
	virtual bool
	// missing is true if the vertex is no domain because its nodes lack the level.
	missing bool
	parent  int32
	// lo and hi are the range of positions of the vertex's nodes: lo to hi-1. kidLo and
	// kidHi are the range of its children one depth below. At the finest depth the
	// children are node positions.
	lo, hi, kidLo, kidHi int32
}

// child returns the branch for a key below b. It creates a missing branch.
func (b *branch) child(key, name string, virtual bool) *branch {
	if c := b.byKey[key]; c != nil {
		return c
	}
	if b.byKey == nil {
		b.byKey = map[string]*branch{}
	}
	c := &branch{name: name, key: key, virtual: virtual, parent: b}
	b.byKey[key] = c
	if n := len(b.kids); n > 0 && compareBranches(b.kids[n-1], c) > 0 {
		b.unsorted = true
	}
	b.kids = append(b.kids, c)
	return c
}

// attach adds a node directly below b. Nodes that are added in the order of their names
// need no sorting.
func (b *branch) attach(e *entry) {
	e.home = b
	if n := len(b.nodes); n > 0 && natural(b.nodes[n-1].name, e.name) > 0 {
		b.unsorted = true
	}
	b.nodes = append(b.nodes, e)
}

// locate returns the finest branch below b with the given domains, one for each level. It
// creates missing branches. node is the name of the node that will be attached there.
func (b *branch) locate(node string, domains []string, levels int) *branch {
	for i := range levels {
		if i < len(domains) && domains[i] != "" {
			b = b.child(domains[i], domains[i], false)
			continue
		}
		key, virtual := standIn(node, domains[min(i, len(domains)):])
		b = b.child(key, "-", virtual)
	}
	if b.path == nil {
		b.path = make([]string, levels)
		copy(b.path, domains)
	}
	return b
}

// standIn returns the key of the branch for a level that a node lacks. rest has the
// node's domains of finer levels. With such a domain, the key is this domain: all nodes
// of the branch are in it. Otherwise the key is the node itself, and the branch is
// virtual. The zero byte keeps such keys different from names of domains.
func standIn(node string, rest []string) (key string, virtual bool) {
	for _, name := range rest {
		if name != "" {
			return "\x00domain " + name, false
		}
	}
	return "\x00node " + node, true
}

// missing reports whether the nodes of b lack the level: b then has a key of standIn.
func (b *branch) missing() bool { return strings.HasPrefix(b.key, "\x00") }

// detach removes a node from b, and then each branch that has become empty.
func (b *branch) detach(e *entry) {
	b.nodes = slices.DeleteFunc(b.nodes, func(o *entry) bool { return o == e })
	for b.parent != nil && len(b.nodes) == 0 && len(b.kids) == 0 {
		p := b.parent
		delete(p.byKey, b.key)
		p.kids = slices.DeleteFunc(p.kids, func(o *branch) bool { return o == b })
		b = p
	}
}

func (b *branch) sort() {
	if !b.unsorted {
		return
	}
	slices.SortFunc(b.kids, compareBranches)
	slices.SortFunc(b.nodes, func(x, y *entry) int { return natural(x.name, y.name) })
	b.unsorted = false
}

func compareBranches(x, y *branch) int {
	if x.virtual != y.virtual {
		if y.virtual {
			return -1
		}
		return 1
	}
	return natural(x.key, y.key)
}

// layOut builds the immutable tree, sets the position of every node and stores the class
// (the free capacity) of each node in classes, by position.
func layOut(root *branch, levels, nodes int, classes pages[*class]) *fabric {
	f := &fabric{levels: levels, tables: make([]table, levels+1), names: make([]string, 0, nodes)}
	for d := range f.tables {
		f.tables[d].of = make([]int32, nodes)
	}
	f.add(root, 0, 0, classes)
	return f
}

func (f *fabric) add(b *branch, depth int, parent int32, classes pages[*class]) {
	b.sort()
	t := &f.tables[depth]
	me := int32(len(t.verts))
	v := vertex{name: b.name, virtual: b.virtual, missing: b.missing(), parent: parent, lo: int32(len(f.names))}
	t.verts = append(t.verts, v)
	v.kidLo = v.lo
	if depth < f.levels {
		v.kidLo = int32(len(f.tables[depth+1].verts))
	}
	for _, e := range b.nodes {
		e.pos = int32(len(f.names))
		classes.set(e.pos, e.class)
		f.names = append(f.names, e.name)
	}
	for _, k := range b.kids {
		f.add(k, depth+1, me, classes)
	}
	v.hi = int32(len(f.names))
	v.kidHi = v.hi
	if depth < f.levels {
		v.kidHi = int32(len(f.tables[depth+1].verts))
	}
	t.verts[me] = v
	for p := v.lo; p < v.hi; p++ {
		t.of[p] = me
	}
}

// pos returns the position of a node, which is its index in fabric order, by its name.
// The second result is false for an unknown name.
func (f *fabric) pos(name string) (int32, bool) {
	f.once.Do(func() {
		f.byName = make(map[string]int32, len(f.names))
		for i, n := range f.names {
			f.byName[n] = int32(i)
		}
	})
	p, ok := f.byName[name]
	return p, ok
}

// at returns the vertex, at a depth of the tree, that contains the node at pos. At depth
// levels+1 the vertex is the position.
func (f *fabric) at(depth int, pos int32) int32 {
	if depth > f.levels {
		return pos
	}
	return f.tables[depth].of[pos]
}

// span returns the positions lo to hi-1 of the nodes in a vertex.
func (f *fabric) span(depth int, v int32) (lo, hi int32) {
	if depth > f.levels {
		return v, v + 1
	}
	x := &f.tables[depth].verts[v]
	return x.lo, x.hi
}

// real returns true if a vertex is a domain of the level. It returns false if the vertex
// only stands for a node that lacks the level.
func (f *fabric) real(depth int, v int32) bool {
	return depth > f.levels || !f.tables[depth].verts[v].virtual
}

// path returns the domain names from the coarsest level to the vertex, joined by "/". The
// path of the whole fabric is empty.
func (f *fabric) path(depth int, v int32) string {
	var parts []string
	if depth > f.levels {
		parts = append(parts, f.names[v])
		v = f.at(f.levels, v)
		depth = f.levels
	}
	for ; depth > 0; depth-- {
		x := &f.tables[depth].verts[v]
		parts = append(parts, x.name)
		v = x.parent
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

// above maps sorted vertices of depth d+1 to their parents, without duplicates.
func (f *fabric) above(d int, below []int32) []int32 {
	var out []int32
	for _, v := range below {
		parent := f.parent(d+1, v)
		if len(out) == 0 || out[len(out)-1] != parent {
			out = append(out, parent)
		}
	}
	return out
}

// parent returns the vertex, one depth above, that contains v. The parent of a node
// position is its finest domain.
func (f *fabric) parent(depth int, v int32) int32 {
	if depth > f.levels {
		return f.tables[f.levels].of[v]
	}
	return f.tables[depth].verts[v].parent
}

// width returns the number of vertices at a depth.
func (f *fabric) width(depth int) int32 {
	if depth > f.levels {
		return int32(len(f.names))
	}
	return int32(len(f.tables[depth].verts))
}

// inner returns the smaller of two domains. ok is false if they are disjoint.
func (f *fabric) inner(d1 int, v1 int32, d2 int, v2 int32) (d int, v int32, ok bool) {
	if d1 > d2 {
		d1, v1, d2, v2 = d2, v2, d1, v1
	}
	lo, _ := f.span(d2, v2)
	return d2, v2, f.at(d1, lo) == v1
}
