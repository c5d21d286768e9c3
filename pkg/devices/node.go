// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"cmp"
	"maps"
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// node is the inventory's state of one node.
type node struct {
	name  string
	pools map[poolKey]*pool
	// revision is the inventory's at the last change of anything that counts here, spec that at the last change of
	// slices.
	revision uint64
	spec     uint64
	// stale is set if slices changed and the fields below are not yet computed from them.
	stale   bool
	devices []*device
	units   []unitInfo
	// values are the results of AttributeValues since slices last changed.
	values map[string][]string
	// unusable is set if a pool whose newest generation has devices here is incomplete or broken. Then no request for
	// "all" devices can be met.
	unusable bool
	// assessed caches assessments of the node as it was at revision assessedAt.
	assessed   map[assessmentKey]Assessment
	assessedAt uint64
}

// nodeTable numbers nodes densely, so that per-node results are slices. Numbers of removed nodes are reused.
type nodeTable struct {
	index map[string]int
	// shared is set while a View uses index: then it is copied before it changes.
	shared bool
	nodes  []*node
	free   []int
	// changed are the numbers of nodes that changed since the last update of the layout.
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

// relink updates a node's list of pools after one pool changed, and marks the node.
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

// markChanged marks a node with a device whose allocation changed.
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

// refresh computes devices and units from the pools, if slices changed.
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

// inAllocatorOrder sorts pools like the stock allocator: by driver and name, pools with binding conditions last.
func inAllocatorOrder(pools map[poolKey]*pool) []*pool {
	return slices.SortedFunc(maps.Values(pools), func(a, b *pool) int {
		if a.state.bindingConditions != b.state.bindingConditions {
			if b.state.bindingConditions {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.key.driver, b.key.driver), cmp.Compare(a.key.name, b.key.name))
	})
}

// devices lists the pool's devices from the chosen slices, in the order in which the allocator tries them.
func (p *pool) devices(chosen func(*resourceapi.ResourceSlice) bool) []*device {
	var list []*device
	for _, slice := range p.state.slices {
		if !chosen(slice) {
			continue
		}
		for i := range slice.Spec.Devices {
			spec := &slice.Spec.Devices[i]
			d := &device{
				id:     structured.MakeDeviceID(p.key.driver, p.key.name, spec.Name),
				driver: p.key.driver, pool: p, slice: slice, spec: spec, capacities: capacityText(spec),
			}
			d.gpu, d.rdma = isGPU(d), isRDMANIC(d)
			list = append(list, d)
		}
	}
	return list
}

// AttributeValues returns the distinct values, as sorted text, that the node's own devices publish of a fully
// qualified attribute. Clouds repeat facts about the whole node on each of its NICs, for instance
// azure.dra.net/placementGroupId; then there is a single value. Pools that are being replaced count, too: a node does
// not leave its placement group while its driver restarts. The result is kept until the node's slices change; callers
// must not change it.
func (inv *Inventory) AttributeValues(name, attribute string) []string {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	n := inv.nodes.get(name)
	if n == nil {
		return nil
	}
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

// NodeRevision increases with every change of the node's slices or of what is in use there. It is 0 for a node
// without slices of its own. Changes of pools for many nodes do not change it; they change Revision.
func (inv *Inventory) NodeRevision(name string) uint64 {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if n := inv.nodes.get(name); n != nil {
		return n.revision
	}
	return 0
}
