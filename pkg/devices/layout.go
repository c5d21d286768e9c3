// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// signature is the set of a layout's queries that a device satisfies: a byte of recognition flags, then one bit for
// each query. Devices of equal signature are interchangeable for every request of the layout.
type signature string

const (
	flagGPU  = 1
	flagRDMA = 2
)

func (s signature) gpu() bool  { return s[0]&flagGPU != 0 }
func (s signature) rdma() bool { return s[0]&flagRDMA != 0 }

// matchesAny returns true if some query is satisfied. Other devices are counted only if they are GPUs or RDMA NICs.
func (s signature) matchesAny() bool { return strings.Trim(string(s[1:]), "\x00") != "" }

// counted returns true if the device is counted at all.
func (s signature) counted() bool { return s[0] != 0 || s.matchesAny() }

func (s signature) has(query int) bool { return s[1+query/8]&(1<<(query%8)) != 0 }

// layout is the partition of the cluster's devices into kinds for the requests in use, with the counts of every node.
// Queries and pod limits are only added, so that a new request costs one more column and not a new partition. When
// there are too many, the inventory starts a new layout with the requests at hand.
type layout struct {
	queries    []*deviceQuery
	column     map[string]int
	podLimits  []podLimit
	limitIndex map[string]int
	plugins    []v1.ResourceName
	// generation increases when queries, pod limits or plugins are added.
	generation uint64

	nodes []layoutNode
	// present counts the nodes that have a signature, so that kinds do not depend on removed devices.
	present map[signature]int
	// revision and current are the inventory's revision and the generation at the last update.
	revision  uint64
	current   uint64
	kinds     kindTable
	frozen    frozen
	multiNode []multiNodeSlice
}

// layoutNode is what a layout keeps for one node.
type layoutNode struct {
	node *node
	spec uint64
	// columns is how many queries the signatures cover.
	columns    int
	signatures []signature
	distinct   []signature
}

// outdated returns true if the node's slices or the layout's queries are newer than the signatures.
func (k *layoutNode) outdated(n *node, columns int) bool {
	return k.spec != n.spec || k.columns != columns
}

func newLayout() *layout {
	return &layout{column: map[string]int{}, limitIndex: map[string]int{}, present: map[signature]int{}, generation: 1}
}

// addRequest adds the queries, plugins and pod limits of the request that the layout does not have.
func (l *layout) addRequest(request *Request) {
	for i := range request.options {
		l.addOption(&request.options[i])
	}
	if !request.Empty() {
		l.addOption(&request.relaxed)
	}
}

func (l *layout) addOption(o *requestOption) {
	for i := range o.requests {
		request := &o.requests[i]
		for _, q := range request.queries {
			if _, added := l.column[q.key]; !added {
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
		if _, added := l.limitIndex[p.key]; !added {
			l.limitIndex[p.key] = len(l.podLimits)
			l.podLimits = append(l.podLimits, p)
			l.generation++
		}
	}
}

// signatureOf extends a device's signature, "" for none yet, to all queries of the layout.
func (l *layout) signatureOf(d *device, cached signature, columns int) signature {
	bits := make([]byte, 1+(len(l.queries)+7)/8)
	copy(bits, cached)
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

// update brings the layout up to date with the inventory. Its cost grows with what changed, unless queries or kinds
// changed.
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
		if cached, n := &l.nodes[i], all[i]; cached.node != n || n != nil && cached.outdated(n, len(l.queries)) {
			l.updateSignatures(cached, n, inv.options.PairMaps)
		}
	}
	// Both must run, whatever the other returns.
	renumbered, unbound := l.renumberKinds(inv), l.markUnbounded(inv)
	if renumbered || unbound || l.current != l.generation {
		changed = everyNode(all)
	}
	l.frozen = l.frozen.with(changed, func(i int) *NodeDevices { return l.recount(&l.nodes[i], inv) })
	l.multiNode = l.countMultiNode(inv)
	l.revision, l.current = inv.revision, l.generation
	// Not cleared: a map that once held every node keeps its size, and iterating over it would cost the whole cluster.
	inv.nodes.changed = map[int]bool{}
}

func everyNode(nodes []*node) []int {
	every := make([]int, len(nodes))
	for i := range every {
		every[i] = i
	}
	return every
}

// updateSignatures computes the signatures of a node's devices and updates the count of the signatures present.
func (l *layout) updateSignatures(cached *layoutNode, n *node, pairMaps []PairMap) {
	for _, s := range cached.distinct {
		if l.present[s]--; l.present[s] == 0 {
			delete(l.present, s)
		}
	}
	if n == nil {
		*cached = layoutNode{}
		return
	}
	if cached.node != n || cached.spec != n.spec {
		n.refresh(pairMaps)
		*cached = layoutNode{node: n, spec: n.spec, signatures: make([]signature, len(n.devices))}
	}
	for i, d := range n.devices {
		cached.signatures[i] = l.signatureOf(d, cached.signatures[i], cached.columns)
	}
	cached.columns = len(l.queries)
	cached.distinct = distinctSignatures(slices.Values(cached.signatures))
	for _, s := range cached.distinct {
		l.present[s]++
	}
}

// presentSignatures lists, in order, every signature that some device has.
func (l *layout) presentSignatures(inv *Inventory) []signature {
	present := distinctSignatures(maps.Keys(l.present))
	for _, p := range inAllocatorOrder(inv.multiNode) {
		for _, d := range multiNodeDevices(p) {
			present = append(present, l.signatureOf(d, "", 0))
		}
	}
	return distinctSignatures(slices.Values(present))
}
