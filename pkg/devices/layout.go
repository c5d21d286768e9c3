// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// signature says which asks of a layout a device satisfies: a byte of recognition flags, then one bit for each ask.
// Devices of equal signature are interchangeable for every need of the layout.
type signature string

const (
	flagGPU  = 1
	flagRDMA = 2
)

func (s signature) gpu() bool  { return s[0]&flagGPU != 0 }
func (s signature) rdma() bool { return s[0]&flagRDMA != 0 }

// wanted says whether some ask is satisfied; other devices are only counted because they are GPUs or RDMA NICs.
func (s signature) wanted() bool { return strings.Trim(string(s[1:]), "\x00") != "" }

// interesting says whether the device is counted at all.
func (s signature) interesting() bool { return s[0] != 0 || s.wanted() }

func (s signature) has(ask int) bool { return s[1+ask/8]&(1<<(ask%8)) != 0 }

// layout is the partition of the cluster's devices into kinds for the needs that are about, with the counts of every
// node in it. Asks and permits are only ever added, so that a new need costs one more column and not a new partition;
// when there are too many, the inventory starts a new layout with the needs at hand.
type layout struct {
	queries    []*deviceQuery
	column     map[string]int
	podLimits  []podLimit
	limitIndex map[string]int
	plugins    []v1.ResourceName
	// generation rises when columns, permits or plugins are added.
	generation uint64

	nodes []layoutNode
	// present counts the nodes that have a signature, so that kinds do not depend on devices that are gone.
	present map[signature]int
	// revision is the inventory's when the nodes were last brought up to date, current the generation then.
	revision  uint64
	current   uint64
	kinds     kindTable
	frozen    frozen
	multiNode []multiNodeSlice
}

// layoutNode is what a layout remembers of one node.
type layoutNode struct {
	node *node
	spec uint64
	// columns is how many asks the signatures cover.
	columns    int
	signatures []signature
	distinct   []signature
}

// stale says whether the node's slices or the layout's columns are newer than the signatures.
func (k *layoutNode) stale(n *node, columns int) bool {
	return k.spec != n.spec || k.columns != columns
}

func newLayout() *layout {
	return &layout{column: map[string]int{}, limitIndex: map[string]int{}, present: map[signature]int{}, generation: 1}
}

// learn adds whatever the need brings that the layout does not have.
func (l *layout) learn(request *Request) {
	for i := range request.options {
		l.learnOption(&request.options[i])
	}
	if !request.Empty() {
		l.learnOption(&request.relaxed)
	}
}

func (l *layout) learnOption(o *requestOption) {
	for i := range o.requests {
		request := &o.requests[i]
		for _, q := range request.queries {
			if _, known := l.column[q.key]; !known {
				l.column[q.key] = len(l.queries)
				l.queries = append(l.queries, q)
				l.generation++
			}
		}
		if request.plugin != "" && !slices.Contains(l.plugins, request.plugin) {
			l.plugins = append(l.plugins, request.plugin)
			l.generation++
		}
	}
	for _, p := range o.podLimits() {
		if _, known := l.limitIndex[p.key]; !known {
			l.limitIndex[p.key] = len(l.podLimits)
			l.podLimits = append(l.podLimits, p)
			l.generation++
		}
	}
}

// sign extends a device's signature, "" for none yet, to all asks of the layout.
func (l *layout) sign(d *device, known signature, columns int) signature {
	bits := make([]byte, 1+(len(l.queries)+7)/8)
	copy(bits, known)
	if d.gpu {
		bits[0] |= flagGPU
	}
	if d.rdma {
		bits[0] |= flagRDMA
	}
	for i := columns; i < len(l.queries); i++ {
		if l.queries[i].match(d).selects && l.queries[i].tolerates(d) {
			bits[1+i/8] |= 1 << (i % 8)
		}
	}
	return signature(bits)
}

// update brings the layout up to date with the inventory. What changed since the last time costs, not what there is,
// unless columns or kinds changed.
func (l *layout) update(inv *Inventory) {
	if l.current == l.generation && l.revision == inv.revision {
		return
	}
	all := inv.nodes.nodes
	l.nodes = append(l.nodes, make([]layoutNode, len(all)-len(l.nodes))...)
	changed := slices.Sorted(maps.Keys(inv.nodes.changed))
	if l.current != l.generation {
		changed = everyNode(all)
	}
	for _, i := range changed {
		if known, n := &l.nodes[i], all[i]; known.node != n || n != nil && known.stale(n, len(l.queries)) {
			l.resign(known, n, inv.options.PairMaps)
		}
	}
	// Both have to run whatever the other says.
	renumbered, unbound := l.renumberKinds(inv), l.markUnbounded(inv)
	if renumbered || unbound || l.current != l.generation {
		changed = everyNode(all)
	}
	l.frozen = l.frozen.with(changed, func(i int) *NodeDevices { return l.recount(&l.nodes[i], inv) })
	l.multiNode = l.countMultiNode(inv)
	l.revision, l.current = inv.revision, l.generation
	// Not cleared: a map that once held every node stays as large, and going over it would cost the cluster.
	inv.nodes.changed = map[int]bool{}
}

func everyNode(nodes []*node) []int {
	every := make([]int, len(nodes))
	for i := range every {
		every[i] = i
	}
	return every
}

// resign works out the signatures of a node's devices and keeps count of the signatures present.
func (l *layout) resign(known *layoutNode, n *node, pairMaps []PairMap) {
	for _, s := range known.distinct {
		if l.present[s]--; l.present[s] == 0 {
			delete(l.present, s)
		}
	}
	if n == nil {
		*known = layoutNode{}
		return
	}
	if known.node != n || known.spec != n.spec {
		n.refresh(pairMaps)
		*known = layoutNode{node: n, spec: n.spec, signatures: make([]signature, len(n.devices))}
	}
	for i, d := range n.devices {
		known.signatures[i] = l.sign(d, known.signatures[i], known.columns)
	}
	known.columns = len(l.queries)
	known.distinct = distinctSignatures(slices.Values(known.signatures))
	for _, s := range known.distinct {
		l.present[s]++
	}
}

// presentSignatures lists every signature that some device has, in order.
func (l *layout) presentSignatures(inv *Inventory) []signature {
	present := distinctSignatures(maps.Keys(l.present))
	for _, p := range inAllocatorOrder(inv.multiNode) {
		for _, d := range multiNodeDevices(p) {
			present = append(present, l.sign(d, "", 0))
		}
	}
	return distinctSignatures(slices.Values(present))
}
