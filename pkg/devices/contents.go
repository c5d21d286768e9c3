// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// contents has the slices and allocations of an inventory, and what is derived from them
// without regard to requests.
type contents struct {
	// pairMaps state, by machine type, which GPUs and NICs form one alignment unit (devices
	// that are close to each other).
	pairMaps []PairMap
	slices   map[string]*resourceapi.ResourceSlice
	pools    map[poolKey]*pool
	nodes    nodeTable
	ledger   ledger
	// revision increases with every change of slices or allocations.
	revision uint64
	// spec is the revision of the slices: it increases only with changes of slices.
	spec uint64
	// multiNode has the pools with devices that more than one node can use.
	multiNode map[poolKey]*pool
	// common has the pools that do not belong to a single node. The stock allocator may read
	// their slices for any node.
	common map[poolKey]*pool
}

func newContents(pairMaps []PairMap) contents {
	c := contents{
		pairMaps:  pairMaps,
		slices:    map[string]*resourceapi.ResourceSlice{},
		pools:     map[poolKey]*pool{},
		nodes:     newNodeTable(),
		ledger:    newLedger(),
		multiNode: map[poolKey]*pool{},
		common:    map[poolKey]*pool{},
	}
	c.ledger.gathered = emptyState()
	return c
}

// node returns a node with its devices and units up to date. It returns nil if the node has
// no slices of its own.
func (c *contents) node(name string) *node {
	n := c.nodes.get(name)
	if n != nil {
		n.refresh(c.pairMaps)
	}
	return n
}

// deviceCount returns the number of devices that belong to single nodes. For a node with
// changed slices it uses the old number until the node's devices are next read.
func (c *contents) deviceCount() int {
	sum := 0
	for _, n := range c.nodes.nodes {
		if n != nil {
			sum += len(n.devices)
		}
	}
	return sum
}

// holdsExactly returns true if the inventory holds exactly these objects (it compares
// pointers), which is the usual case.
func (c *contents) holdsExactly(all []*resourceapi.ResourceSlice) bool {
	if len(all) != len(c.slices) {
		return false
	}
	for _, slice := range all {
		if c.slices[slice.Name] != slice {
			return false
		}
	}
	return true
}

// replaceSlice replaces the slice called name with now, or removes it for nil. It marks
// the nodes whose devices may have changed.
func (c *contents) replaceSlice(name string, now *resourceapi.ResourceSlice) {
	before := c.slices[name]
	if before == now {
		return
	}
	c.revision++
	c.spec++
	if before != nil {
		delete(c.slices, name)
	}
	if now != nil {
		c.slices[name] = now
	}
	if before != nil && (now == nil || poolOf(before) != poolOf(now)) {
		c.changePool(poolOf(before), before, nil)
		before = nil
	}
	if now != nil {
		c.changePool(poolOf(now), before, now)
	}
}

// changePool replaces one slice of a pool: now takes the place of before. Nil stands for
// a slice that does not exist. If the pool stays as usable as before, only the slice's
// own node is computed again.
func (c *contents) changePool(key poolKey, before, now *resourceapi.ResourceSlice) {
	p := c.pools[key]
	if p == nil {
		p = &pool{key: key, slices: map[string]*resourceapi.ResourceSlice{}}
		c.pools[key] = p
	}
	old := p.state
	var stale []string
	if before != nil {
		delete(p.slices, before.Name)
		stale = append(stale, nodeOf(before))
	}
	if now != nil {
		p.slices[now.Name] = now
		stale = append(stale, nodeOf(now))
	}
	p.refresh()
	if !old.sameUse(&p.state) {
		stale = append(append(stale, old.nodes...), p.state.nodes...)
	}
	for _, node := range stale {
		c.nodes.relink(node, p, c.revision)
	}
	c.multiNode[key], c.common[key] = p, p
	if !p.state.multiNode {
		delete(c.multiNode, key)
	}
	if p.state.local() {
		delete(c.common, key)
	}
	if len(p.slices) == 0 {
		delete(c.pools, key)
		delete(c.common, key)
	}
}

// markChanged marks, as changed, the nodes that can use these devices, whose allocation
// has changed.
func (c *contents) markChanged(ids []structured.DeviceID) {
	if len(ids) > 0 {
		c.revision++
	}
	for _, id := range ids {
		p := c.pools[poolKey{driver: id.Driver.String(), name: id.Pool.String()}]
		if p == nil {
			continue
		}
		for _, node := range p.nodesOfDevice(id.Device.String()) {
			c.nodes.markChanged(node, c.revision)
		}
	}
}

// servedByMultiNode returns true if a device that several nodes can use satisfies the query
// (what a request demands of each device). The answer is cached until slices change.
func (c *contents) servedByMultiNode(q *deviceQuery) bool {
	if len(c.multiNode) == 0 {
		return false
	}
	if q.multiNodeAt == c.spec {
		return q.multiNode
	}
	q.multiNodeAt, q.multiNode = c.spec, false
	for _, p := range c.multiNode {
		if slices.ContainsFunc(multiNodeDevices(p), func(d *device) bool { return q.match(d).selects }) {
			q.multiNode = true
			break
		}
	}
	return q.multiNode
}
