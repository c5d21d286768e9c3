// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"

	resourceapi "k8s.io/api/resource/v1"
)

// node is the inventory's state of one node.
type node struct {
	name  string
	pools map[poolKey]*pool
	// revision is the inventory's revision at the last change of this node's slices or
	// allocations, spec its revision at the last change of the node's slices.
	revision uint64
	spec     uint64
	// stale is true if the node's slices changed and devices, units and unusable are not
	// computed from the new ones yet.
	stale   bool
	devices []*device
	units   []unitInfo
	// values caches the values that the node's devices publish, by attribute, until
	// slices change.
	values map[string][]string
	// unusable is true if a pool is incomplete or broken and its newest generation has
	// devices here. Then the node cannot meet a request for "all" devices.
	unusable bool
	// assessed caches the counts of the node's devices for pods, as they were at the
	// node's revision assessedAt.
	assessed   map[assessmentKey]Assessment
	assessedAt uint64
}

// nodeTable numbers the nodes, so that values by node can be slices indexed by number.
// Numbers of removed nodes are used again.
type nodeTable struct {
	// index has, by name of a node, the node's number.
	index map[string]int
	// shared is true if a View (a frozen copy of the inventory) may use the map index. The
	// table then copies the map before it changes it.
	shared bool
	nodes  []*node
	free   []int
	// changed has the numbers of the nodes that changed since the nodes' devices were last
	// counted by kind (a set of interchangeable devices).
	changed map[int]bool
}

func newNode(name string) *node { return &node{name: name, pools: map[poolKey]*pool{}} }

func newNodeTable() nodeTable { return nodeTable{index: map[string]int{}, changed: map[int]bool{}} }

func (t *nodeTable) get(name string) *node {
	if i, ok := t.index[name]; ok {
		return t.nodes[i]
	}
	return nil
}

// relink updates a node's list of pools after the pool p changed, and marks the node as
// changed. It adds a missing node, and removes a node that has no pools left.
func (t *nodeTable) relink(name string, p *pool, revision uint64) {
	if name == "" {
		return
	}
	n := t.get(name)
	if _, member := slices.BinarySearch(p.state.nodes, name); !member {
		if n == nil {
			return
		}
		delete(n.pools, p.key)
		if len(n.pools) == 0 {
			t.remove(name)
			return
		}
	} else {
		if n == nil {
			n = t.add(name)
		}
		n.pools[p.key] = p
	}
	n.revision, n.spec, n.stale, n.values = revision, revision, true, nil
	t.changed[t.index[name]] = true
}

// markChanged marks a node as changed because the allocation of one of its devices
// changed.
func (t *nodeTable) markChanged(name string, revision uint64) {
	if i, ok := t.index[name]; ok {
		t.nodes[i].revision = revision
		t.changed[i] = true
	}
}

func (t *nodeTable) unshare() {
	if t.shared {
		t.index, t.shared = maps.Clone(t.index), false
	}
}

func (t *nodeTable) add(name string) *node {
	t.unshare()
	n := newNode(name)
	if last := len(t.free) - 1; last >= 0 {
		t.index[name], t.free = t.free[last], t.free[:last]
		t.nodes[t.index[name]] = n
		return n
	}
	t.index[name] = len(t.nodes)
	t.nodes = append(t.nodes, n)
	return n
}

func (t *nodeTable) remove(name string) {
	t.unshare()
	i := t.index[name]
	t.nodes[i] = nil
	t.free = append(t.free, i)
	t.changed[i] = true
	delete(t.index, name)
}

// refresh computes the node's devices and alignment units (devices that are close to each
// other) from its pools if slices changed.
func (n *node) refresh(pairMaps []PairMap) {
	if !n.stale {
		return
	}
	n.stale, n.unusable = false, false
	n.devices = nil
	for _, p := range inAllocatorOrder(n.pools) {
		mine := func(slice *resourceapi.ResourceSlice) bool { return nodeOf(slice) == n.name }
		if p.state.problem != "" {
			n.unusable = n.unusable || slices.ContainsFunc(p.state.slices, mine)
			continue
		}
		n.devices = append(n.devices, p.devices(mine)...)
	}
	n.units = align(n.devices, pairMaps)
}

// attributeValues returns the values of an attribute that the node's devices publish,
// sorted.
func (n *node) attributeValues(attribute string) []string {
	values, cached := n.values[attribute]
	if !cached {
		values = n.collect(attribute)
		if n.values == nil {
			n.values = map[string][]string{}
		}
		n.values[attribute] = values
	}
	return values
}

func (n *node) collect(attribute string) []string {
	var values []string
	for _, p := range n.pools {
		for _, slice := range p.state.slices {
			if nodeOf(slice) != n.name {
				continue
			}
			for i := range slice.Spec.Devices {
				value, _ := attributeOf(p.key.driver, &slice.Spec.Devices[i], attribute)
				if text := scalarText(value); len(text) > 1 {
					values = append(values, text[1:])
				}
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}
