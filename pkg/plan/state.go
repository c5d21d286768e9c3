// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
)

// State is the planner's model of the cluster: the fabric (a tree of domains, such as racks,
// and nodes) and the free resources of each node. It has a single writer. Any number of
// readers may use its Snapshots while it changes.
type State struct {
	layout  Layout
	terms   *terms
	classes classTable
	// nodes and root are nil in a fork (a State that Fork returned) until a node is added,
	// removed or moved.
	nodes map[string]*entry
	// slab has preallocated entries for nodes that will be added.
	slab []entry
	root *branch
	// fabric is nil if nodes were added, removed or moved since the last Freeze.
	fabric *fabric
	// pages have the class (the free capacity) of the node at each position (index of a
	// node). owned marks the pages that no Snapshot reads; State copies any other page
	// before it writes to it. shared is true if a Snapshot may read the list of pages
	// itself; State then copies the list before it changes an entry.
	pages  pages[*class]
	owned  []bool
	shared bool
	// log lists the positions whose class changed since epoch, which keeps counts between
	// plans, was created.
	log   []int32
	epoch *epoch
	// borrowed is true in a fork while epoch belongs to the State that it began as.
	borrowed bool
}

// Snapshot is a State at one moment. Any number of plans may use it concurrently.
type Snapshot struct {
	layout Layout
	terms  *terms
	nodeClasses
	epoch *epoch
	// nextClass is larger than the id of each class in the snapshot.
	nextClass int32
	// depth is 0, or the number of forks (copies of a State) that led to the snapshot.
	depth int32
}

// slabSize is small because an entry in use keeps its whole slab in memory.
const slabSize = 64

// minLog is the fewest changes of nodes after which a new epoch begins, which drops the
// counts kept between plans. Without minLog, the limit is the number of nodes, so a small
// fabric would drop its counts after a few changes.
const minLog = 1024

// NewState returns an empty State. It returns an error if the layout is invalid.
func NewState(l Layout) (*State, error) {
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	return &State{
		layout:  l.clone(),
		terms:   termsOf(&l),
		classes: newClassTable(),
		nodes:   map[string]*entry{},
		root:    &branch{},
		epoch:   newEpoch(),
	}, nil
}

// Grow appends resources and device kinds to the layout, which names these and the levels
// of the tree. It returns an error if levels or existing names change. Nodes that do not
// list the new resources and kinds have none of them.
func (s *State) Grow(l Layout) error {
	if err := s.layout.grows(l); err != nil {
		return fmt.Errorf("growing the layout: %w", err)
	}
	s.layout = l.clone()
	return nil
}

// Reserve allocates memory for a number of nodes. It does nothing unless the State is
// empty.
func (s *State) Reserve(nodes int) {
	if s.nodes != nil && len(s.nodes) == 0 {
		s.nodes = make(map[string]*entry, nodes)
	}
}

// Upsert adds a node or replaces its data. Unchanged data costs only the comparison. Upsert
// returns an error if the data is invalid.
func (s *State) Upsert(n NodeSpec) error {
	if err := s.check(&n); err != nil {
		return fmt.Errorf("node %q: %w", n.Name, err)
	}
	if s.nodes == nil {
		if pos, ok := s.fabric.pos(n.Name); ok && s.fabric.isAt(pos, n.Domains) {
			s.replace(pos, &n)
			return nil
		}
		s.ownTree()
	}
	e := s.nodes[n.Name]
	if e != nil && e.class.describes(&n) && samePath(e.home.path, n.Domains) {
		return nil
	}
	c := s.classes.acquire(&n)
	switch {
	case e == nil:
		s.insert(n.Name, c, n.Domains)
	case !samePath(e.home.path, n.Domains):
		s.classes.release(e.class)
		s.extract(e)
		s.insert(n.Name, c, n.Domains)
	default:
		s.classes.release(e.class)
		e.class = c
		s.write(e.pos, c)
	}
	return nil
}

// replace gives the node at pos the free capacity in n. The State must be a fork that still
// shares its tree.
func (s *State) replace(pos int32, n *NodeSpec) {
	old := s.pages.at(pos)
	if old.describes(n) {
		return
	}
	c := s.classes.acquire(n)
	s.classes.release(old)
	s.write(pos, c)
}

// Remove removes a node. It ignores an unknown name.
func (s *State) Remove(name string) {
	if s.nodes == nil {
		if _, ok := s.fabric.pos(name); !ok {
			return
		}
		s.ownTree()
	}
	if e := s.nodes[name]; e != nil {
		s.classes.release(e.class)
		s.extract(e)
		delete(s.nodes, name)
	}
}

// Len is the number of nodes.
func (s *State) Len() int {
	if s.nodes == nil {
		return len(s.fabric.names)
	}
	return len(s.nodes)
}

// Freeze returns a Snapshot of the current state. The snapshot shares the state's pages of
// nodes; a later change copies the page that it writes to. Freeze lays out the whole fabric
// again if nodes were added, removed or moved since the last call. It drops the counts kept
// between plans if it does so, or if very many nodes changed.
func (s *State) Freeze() *Snapshot {
	switch {
	case s.fabric == nil:
		s.layOutAgain()
	case len(s.log) > max(minLog, s.Len()):
		s.log, s.epoch, s.borrowed = nil, newEpoch(), false
	}
	clear(s.owned)
	s.shared = true
	return &Snapshot{
		layout: s.layout, terms: s.terms, epoch: s.epoch, nextClass: s.classes.next, depth: s.classes.depth,
		nodeClasses: nodeClasses{fabric: s.fabric, pages: s.pages, log: s.log},
	}
}

func (s *State) check(n *NodeSpec) error {
	if n.Name == "" {
		return fmt.Errorf("name is empty")
	}
	if len(n.Domains) > len(s.layout.Levels) {
		return fmt.Errorf("%d domains for %d levels", len(n.Domains), len(s.layout.Levels))
	}
	if len(n.Free) > len(s.layout.Resources) {
		return fmt.Errorf("%d free amounts for %d resources", len(n.Free), len(s.layout.Resources))
	}
	for i, u := range n.Units {
		if len(u.Free) > len(s.layout.Kinds) {
			return fmt.Errorf("units[%d]: %d counts for %d kinds", i, len(u.Free), len(s.layout.Kinds))
		}
	}
	return nil
}

func samePath(full, given []string) bool {
	return slices.Equal(full[:len(given)], given) && !slices.ContainsFunc(full[len(given):], func(d string) bool { return d != "" })
}

func (s *State) insert(name string, c *class, domains []string) {
	if len(s.slab) == 0 {
		s.slab = make([]entry, slabSize)
	}
	e := &s.slab[0]
	s.slab = s.slab[1:]
	e.name, e.class = name, c
	s.root.locate(name, domains, len(s.layout.Levels)).attach(e)
	s.nodes[e.name] = e
	s.fabric = nil
}

func (s *State) extract(e *entry) {
	e.home.detach(e)
	s.fabric = nil
}

// layOutAgain builds the immutable tree anew and starts an epoch without counts of
// earlier plans.
func (s *State) layOutAgain() {
	s.pages = newPages[*class](len(s.nodes))
	s.fabric = layOut(s.root, len(s.layout.Levels), len(s.nodes), s.pages)
	s.owned = make([]bool, len(s.pages))
	s.log, s.epoch, s.borrowed = nil, newEpoch(), false
}

// write changes the class of the node at pos. It never writes to a page that a Snapshot
// may read.
func (s *State) write(pos int32, c *class) {
	if s.fabric == nil {
		return
	}
	if s.borrowed {
		s.ownEpoch()
	}
	if s.shared {
		s.pages = slices.Clone(s.pages)
		s.shared = false
	}
	p := pos >> pageBits
	if !s.owned[p] {
		s.pages[p] = slices.Clone(s.pages[p])
		s.owned[p] = true
	}
	s.pages.set(pos, c)
	s.log = append(s.log, pos)
}

// WithResources returns the snapshot with further resources, of which no node has any. A
// gang (pods that are placed together) that requests such a resource gets no placement, and
// its Decision names the resource. The State's layout stays as it is.
func (s *Snapshot) WithResources(names []string) *Snapshot {
	if len(names) == 0 {
		return s
	}
	wider := *s
	wider.layout.Resources = slices.Concat(s.layout.Resources, names)
	return &wider
}

// rollup returns how many members with a need fit on each node and in each domain, and
// the number of nodes that it counted for this.
func (s *Snapshot) rollup(n *Need) (r *rollup, touched int, err error) {
	return s.epoch.rollup(&s.nodeClasses, n)
}

// resourceSums returns the free amount of a dimension (a resource, or a set of device
// kinds) in each domain.
func (s *Snapshot) resourceSums(d *dimension) *resourceSums {
	return s.epoch.resourceSums(&s.nodeClasses, d)
}

// Len is the number of nodes.
func (s *Snapshot) Len() int { return len(s.fabric.names) }
