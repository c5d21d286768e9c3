// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// layout divides the cluster's devices into kinds (sets of devices that are interchangeable
// for the requests in use), and counts each node's devices by kind. Queries (demands on a
// device) and pod limits (demands beyond counts of devices) are only added: for a new
// request the layout evaluates only the new queries on the devices. When there are too many
// queries or limits, the inventory starts a new layout with the current requests.
type layout struct {
	queryTable
	podLimits []podLimit
	// limitIndex has, by the key of a pod limit, the limit's index in podLimits.
	limitIndex map[string]int
	plugins    []v1.ResourceName
	// generation increases when queries, pod limits or device plugins' resources are
	// added.
	generation uint64

	nodes []layoutNode
	// present has, by signature (the queries that a device satisfies), the number of
	// nodes with such devices. Kinds therefore do not depend on removed devices.
	present map[signature]int
	// revision is the inventory's revision at the last update, current the generation of
	// the layout then.
	revision  uint64
	current   uint64
	kinds     kindTable
	frozen    frozen
	multiNode []multiNodeSlice
}

func newLayout() *layout {
	return &layout{queryTable: queryTable{column: map[string]int{}}, limitIndex: map[string]int{}, present: map[signature]int{}, generation: 1}
}

// maxColumns is the number of queries or of pod limits at which a new layout starts.
const maxColumns = 256

// maxLayoutCost is the cost of all queries on one device at which a new layout starts. A
// device that appears later is evaluated for all of them while the inventory is locked.
const maxLayoutCost = 4 * maxDeviceCost

// full returns true if a new layout must start.
func (l *layout) full() bool {
	var cost uint64
	for _, q := range l.queries {
		cost += q.cost
	}
	return len(l.queries) >= maxColumns || len(l.podLimits) >= maxColumns || cost > maxLayoutCost
}

// addRequest adds those queries, device plugins' resources and pod limits of a request
// that the layout does not have yet.
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
			if l.add(q) {
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

// update recomputes the layout's counts from the inventory's contents. Its cost is
// proportional to the changes, or to the cluster if queries or kinds changed.
func (l *layout) update(c *contents) {
	if l.current == l.generation && l.revision == c.revision {
		return
	}
	all := c.nodes.nodes
	l.nodes = append(l.nodes, make([]layoutNode, len(all)-len(l.nodes))...)
	changed := slices.Sorted(maps.Keys(c.nodes.changed))
	if l.current != l.generation {
		changed = everyNode(all)
	}
	for _, i := range changed {
		if cached, n := &l.nodes[i], all[i]; cached.node != n || n != nil && cached.outdated(n, len(l.queries)) {
			l.updateSignatures(cached, n, c.pairMaps)
		}
	}
	// Call both functions before ||, which would skip the second if the first returned
	// true.
	renumbered, unbound := l.renumberKinds(c.multiNode), l.markUnbounded(c.multiNode)
	if renumbered || unbound || l.current != l.generation {
		changed = everyNode(all)
	}
	l.frozen = l.frozen.with(changed, func(i int) *NodeDevices { return l.recount(&l.nodes[i], &c.ledger) })
	l.multiNode = countMultiNode(c.multiNode, &l.kinds, &c.ledger)
	l.revision, l.current = c.revision, l.generation
	// Make a new map: a cleared map that once held every node keeps its size, and
	// iterating over it would cost as much as over the whole cluster.
	c.nodes.changed = map[int]bool{}
}

func everyNode(nodes []*node) []int {
	every := make([]int, len(nodes))
	for i := range every {
		every[i] = i
	}
	return every
}

// updateSignatures computes the signature of each of a node's devices (the queries that
// the device satisfies) and updates how many nodes have each signature.
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

// presentSignatures lists, sorted, the signatures (sets of satisfied queries) of all
// devices, also of those that several nodes can use. It omits devices that satisfy no query
// and are neither GPUs nor RDMA NICs.
func (l *layout) presentSignatures(multiNode map[poolKey]*pool) []signature {
	present := distinctSignatures(maps.Keys(l.present))
	for _, p := range inAllocatorOrder(multiNode) {
		for _, d := range multiNodeDevices(p) {
			present = append(present, l.signatureOf(d, "", 0))
		}
	}
	return distinctSignatures(slices.Values(present))
}

// renumberKinds rebuilds the table of kinds if other signatures (sets of satisfied
// queries) are present than at the last update, or generation has increased. It returns true
// if it rebuilt the table.
func (l *layout) renumberKinds(multiNode map[poolKey]*pool) bool {
	present := l.presentSignatures(multiNode)
	if l.current == l.generation && slices.Equal(present, l.kinds.signatures) {
		return false
	}
	l.kinds = newKindTable(&l.queryTable, l.plugins, present)
	return true
}

// markUnbounded sets unbounded of each pod limit: whether devices that several nodes can
// use may serve its requests. It returns true if any changed.
func (l *layout) markUnbounded(multiNode map[poolKey]*pool) bool {
	changed := false
	for i := range l.podLimits {
		p := &l.podLimits[i]
		unbounded := false
		for _, pool := range multiNode {
			unbounded = unbounded || slices.ContainsFunc(multiNodeDevices(pool), p.serves)
		}
		changed = changed || unbounded != p.unbounded
		p.unbounded = unbounded
	}
	return changed
}

// recount counts the devices of one node by alignment unit (devices that are close to each
// other) and kind. It returns nil for a removed node. Signatures and kinds must be up to
// date.
func (l *layout) recount(cached *layoutNode, used *ledger) *NodeDevices {
	n := cached.node
	if n == nil {
		return nil
	}
	counts := &NodeDevices{Units: make([]Unit, len(n.units)), PodLimits: make([]int, len(l.podLimits)), Revision: n.revision}
	for i, unit := range n.units {
		counts.Units[i] = l.emptyUnit(unit)
	}
	free := l.available(n.devices, cached.signatures, used)
	for i, d := range n.devices {
		kind, counted := l.kinds.of[cached.signatures[i]]
		if !counted {
			continue
		}
		unit := &counts.Units[d.unit]
		unit.Free[kind] += free[i]
		unit.Total[kind] += totalOf(d, free[i])
	}
	for i := range l.podLimits {
		counts.PodLimits[i] = l.podLimits[i].admits(&l.kinds, cached, free)
	}
	return counts
}

// totalOf returns how many allocations a device can have if it is not in use. A shared
// device counts as maxShares, the most that any device can have.
func totalOf(d *device, free int) int {
	if isShared(d.spec) {
		return maxShares
	}
	return max(free, 1)
}

func (l *layout) emptyUnit(info unitInfo) Unit {
	kinds := len(l.kinds.kinds)
	return Unit{Name: info.name, NUMA: info.numa, Free: make([]int, kinds), Total: make([]int, kinds)}
}

// localKinds reports, by kind, whether some devices of the kind belong to a single node,
// free or not.
func (l *layout) localKinds() []bool {
	own := make([]bool, len(l.kinds.kinds))
	for s := range l.present {
		if kind, counted := l.kinds.of[s]; counted {
			own[kind] = true
		}
	}
	return own
}

// problems returns sentences about the selectors that failed on devices, sorted.
func (l *layout) problems() []string {
	var problems []string
	for _, q := range l.queries {
		if problem := q.problem(); problem != "" {
			problems = append(problems, problem)
		}
	}
	slices.SortFunc(problems, strings.Compare)
	return problems
}

// shownLayout is the state that the layout had when the last View (a copy of the counts for
// planners) was made.
type shownLayout struct {
	layout     *layout
	generation uint64
	kinds      []Kind
	multiNode  bool
}
