// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"
)

// Fork returns a State (the fabric and the free resources of its nodes) that begins as a copy
// of s. A change of one does not change the other. Fork calls Freeze, and then Snapshot.Fork.
func (s *State) Fork() *State { return s.Freeze().Fork() }

// Fork returns a State that begins as the snapshot. The State shares with the snapshot the
// tree of domains and nodes, the classes (sets of nodes with equal free capacity) and the
// counts of earlier plans. It copies only what it changes: the pages (parts of the list of
// classes by node) of changed nodes or, once a node is added, removed or moved, the tree.
// Several goroutines may fork a snapshot at once.
func (s *Snapshot) Fork() *State {
	return &State{
		layout: s.layout, terms: s.terms,
		classes: classTable{byHash: map[uint64][]*class{}, next: s.nextClass, depth: s.depth + 1},
		fabric:  s.fabric, pages: s.pages, owned: make([]bool, len(s.pages)), shared: true,
		log: slices.Clip(s.log), epoch: s.epoch, borrowed: true,
	}
}

// sameClass reports whether the node at pos has the free capacity of c.
func (s *Snapshot) sameClass(pos int32, c *class) bool {
	o := s.class(pos)
	return o == c || s.depth > 0 && o.equal(c)
}

// ownTree builds a tree for a fork (a State that Fork returned), so that nodes can be added,
// removed and moved. Until then the fork uses the immutable tree that it shares.
func (s *State) ownTree() {
	f := s.fabric
	s.root = &branch{}
	s.nodes = make(map[string]*entry, len(f.names))
	entries := make([]entry, len(f.names))
	for pos, name := range f.names {
		e := &entries[pos]
		e.name, e.pos, e.class = name, int32(pos), s.pages.at(int32(pos))
		s.root.locate(name, f.domains(int32(pos)), f.levels).attach(e)
		s.nodes[name] = e
	}
}

// ownEpoch gives a fork its own epoch (the counts kept between plans). The new epoch begins
// with the counts that the fork shared.
func (s *State) ownEpoch() {
	s.epoch, s.borrowed = s.epoch.fork(len(s.log)), false
}

// domains returns the domain names of the node at position pos, from the coarsest level to
// the finest, "" for each level that the node lacks.
func (f *fabric) domains(pos int32) []string {
	out := make([]string, f.levels)
	for i := range out {
		out[i] = f.domain(i, pos)
	}
	return out
}

// domain returns the name of the domain of a level that has the node at pos, "" if the node
// lacks the level.
func (f *fabric) domain(level int, pos int32) string {
	t := &f.tables[level+1]
	if v := &t.verts[t.of[pos]]; !v.missing {
		return v.name
	}
	return ""
}

// isAt reports whether the node at pos has exactly these domains, from the coarsest level to
// the finest. An empty or missing entry stands for a level that the node lacks.
func (f *fabric) isAt(pos int32, domains []string) bool {
	for i := range f.levels {
		want := ""
		if i < len(domains) {
			want = domains[i]
		}
		if f.domain(i, pos) != want {
			return false
		}
	}
	return true
}

// fork returns a copy of the epoch for a State that shares the first at changes of nodes. It
// drops the counts that include later changes.
func (e *epoch) fork(at int) *epoch {
	e.mu.RLock()
	defer e.mu.RUnlock()
	out := &epoch{byHash: maps.Clone(e.byHash), order: slices.Clone(e.order), sums: maps.Clone(e.sums)}
	maps.DeleteFunc(out.sums, func(_ uint64, t *resourceSums) bool { return t.at > at })
	maps.DeleteFunc(out.byHash, func(_ uint64, r *rollup) bool { return r.at > at })
	out.order = slices.DeleteFunc(out.order, func(h uint64) bool { return out.byHash[h] == nil })
	return out
}
