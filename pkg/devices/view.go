// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"math"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Option is one way to meet a request: all its demands together, and each of its pod limits once.
type Option struct {
	// Demands come in the order GPUs, RDMA NICs, others.
	Demands []DeviceDemand
	// Permits are indexes into NodeDevices.Permits and View.Permits.
	Permits []int
}

// DeviceDemand is a number of devices, each of one of the kinds.
type DeviceDemand struct {
	// Name is the DeviceClass or extended resource requested.
	Name string
	// Kinds are indexes into View.Kinds, in order. Empty means that no device of the cluster will do.
	Kinds []int
	Count int
}

// View is the inventory frozen for a planner, and counted by kinds. The partition into kinds is fine enough for every
// request in use. For a single request it may be finer than necessary, which changes no sum.
type View struct {
	// Layout is equal for views with the same Kinds and Permits: then counts of equal Revision are equal.
	Layout uint64
	// Revision is the inventory's when the view was made.
	Revision uint64
	Kinds    []Kind
	// Permits name what bounds pods on a node beyond counts of devices: a request for all devices of the node, or for
	// devices that have an attribute in common. Every pod of such a request takes one.
	Permits []string

	plugin       map[v1.ResourceName]int
	index        map[string]int
	nodes        frozen
	multiNode    []multiNodeSlice
	hasMultiNode bool
	// localKinds is, by kind, whether some devices of it belong to one node.
	localKinds []bool
	// limitsElsewhere are the Permits of a node without devices of its own.
	limitsElsewhere []int
	options         map[string][]Option
	relaxed         map[string]Option
	problems        []string
}

// multiNodeSlice are free devices for every node that a selector matches.
type multiNodeSlice struct {
	nodeName string
	allNodes bool
	selector *v1.NodeSelector
	free     []int
}

// View freezes the inventory for planners, with kinds fine enough for these requests and for those of recent views.
func (inv *Inventory) View(requests ...Request) *View {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	l := inv.layoutFor(requests)
	l.update(inv)
	inv.nodes.shared = true
	view := &View{
		Layout:       inv.layoutNumber(l),
		Revision:     inv.revision,
		Kinds:        l.kinds.kinds,
		plugin:       l.kinds.plugin,
		index:        inv.nodes.index,
		nodes:        l.frozen,
		multiNode:    l.multiNode,
		hasMultiNode: len(inv.multiNode) > 0,
		localKinds:   l.localKinds(),
		options:      map[string][]Option{},
		relaxed:      map[string]Option{},
		problems:     l.problems(),
	}
	for i := range l.podLimits {
		view.Permits = append(view.Permits, l.podLimits[i].name)
		view.limitsElsewhere = append(view.limitsElsewhere, l.podLimits[i].admitsElsewhere())
	}
	for i := range requests {
		view.add(l, &requests[i])
	}
	return view
}

func (v *View) add(l *layout, request *Request) {
	if _, added := v.options[request.Key]; added || request.Empty() {
		return
	}
	for i := range request.options {
		v.options[request.Key] = append(v.options[request.Key], l.option(&request.options[i]))
	}
	v.relaxed[request.Key] = l.option(&request.relaxed)
}

// Options are the ways to meet a request that the view was made with, in the claims' order of preference. There are
// none if the request needs nothing. There are several only if firstAvailable alternatives differ in number.
func (v *View) Options(request *Request) []Option { return v.options[request.Key] }

// Least is an option that is met wherever one of Options is. It is the same if there is only one.
func (v *View) Least(request *Request) Option { return v.relaxed[request.Key] }

// Problems are sentences about selectors that failed on devices; those devices are not counted.
func (v *View) Problems() []string { return v.problems }

// Node returns the devices of a node. plugin is how many of each extended resource the node's device plugins have
// free; it may be nil. On a node with both, devices and plugin add up, though the stock scheduler takes extended
// resources only from the plugin there.
func (v *View) Node(node *v1.Node, plugin map[v1.ResourceName]int64) (NodeDevices, error) {
	counts := v.nodeCounts(node.Name)
	if len(v.multiNode) == 0 && (len(plugin) == 0 || len(v.plugin) == 0) {
		return counts, nil
	}
	counts = counts.withOwnLast()
	last := &counts.Units[len(counts.Units)-1]
	for name, kind := range v.plugin {
		free := int(min(max(plugin[name], 0), math.MaxInt32))
		last.Free[kind], last.Total[kind] = free, free
	}
	for i := range v.multiNode {
		slice := &v.multiNode[i]
		matches, err := structured.NodeMatches(structured.Features{}, node, slice.nodeName, slice.allNodes, slice.selector)
		if err != nil {
			return NodeDevices{}, fmt.Errorf("matching devices of several nodes with node %s: %w", node.Name, err)
		}
		if !matches {
			continue
		}
		for kind, free := range slice.free {
			last.Free[kind] += free
			last.Total[kind] += free
		}
	}
	return counts, nil
}

// NodeRevision is the Revision of the node's counts in this view.
func (v *View) NodeRevision(name string) uint64 {
	if i, ok := v.index[name]; ok && v.nodes.at(i) != nil {
		return v.nodes.at(i).Revision
	}
	return 0
}

// nodeCounts are the devices that only this node can use.
func (v *View) nodeCounts(name string) NodeDevices {
	if i, ok := v.index[name]; ok && v.nodes.at(i) != nil {
		return *v.nodes.at(i)
	}
	unit := Unit{Name: looseUnit, NUMA: unknownNUMA, Free: make([]int, len(v.Kinds)), Total: make([]int, len(v.Kinds))}
	return NodeDevices{Units: []Unit{unit}, Permits: v.limitsElsewhere}
}

// withOwnLast copies what Node changes, so that the shared counts do not change.
func (n NodeDevices) withOwnLast() NodeDevices {
	n.Units = slices.Clone(n.Units)
	last := &n.Units[len(n.Units)-1]
	last.Free, last.Total = slices.Clone(last.Free), slices.Clone(last.Total)
	return n
}

// kindsOf lists the kinds whose devices satisfy one of the queries.
func (l *layout) kindsOf(queries []*deviceQuery) []int {
	var kinds []int
	for s, kind := range l.kinds.of {
		if slices.ContainsFunc(queries, func(q *deviceQuery) bool { return s.has(l.column[q.key]) }) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// option turns requests into demands by kind. Requests for the same devices become one demand.
func (l *layout) option(o *requestOption) Option {
	var option Option
	for i := range o.requests {
		if o.requests[i].all {
			continue
		}
		demand := l.demand(&o.requests[i])
		same := slices.IndexFunc(option.Demands, func(d DeviceDemand) bool { return d.Name == demand.Name && slices.Equal(d.Kinds, demand.Kinds) })
		if same >= 0 {
			option.Demands[same].Count += demand.Count
			continue
		}
		option.Demands = append(option.Demands, demand)
	}
	slices.SortStableFunc(option.Demands, func(a, b DeviceDemand) int { return l.demandRank(a) - l.demandRank(b) })
	for _, p := range o.podLimits() {
		option.Permits = append(option.Permits, l.limitIndex[p.key])
	}
	return option
}

func (l *layout) demand(request *deviceRequest) DeviceDemand {
	demand := DeviceDemand{Name: request.queries[0].class, Kinds: l.kindsOf(request.queries), Count: request.count}
	if request.plugin != "" {
		demand.Name = string(request.plugin)
		demand.Kinds = append(demand.Kinds, l.kinds.plugin[request.plugin])
		slices.Sort(demand.Kinds)
	}
	return demand
}

// demandRank orders demands: GPUs before RDMA NICs before others.
func (l *layout) demandRank(d DeviceDemand) int {
	gpu := slices.ContainsFunc(d.Kinds, func(kind int) bool { return l.kinds.kinds[kind].GPU })
	rdma := slices.ContainsFunc(d.Kinds, func(kind int) bool { return l.kinds.kinds[kind].RDMA })
	switch {
	case gpu:
		return 0
	case rdma:
		return 1
	}
	return 2
}

// problems lists the runtime errors of selectors, in order.
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

// MultiNode returns true if there are devices that several nodes can use. Then every node's counts may change with
// Revision.
func (v *View) MultiNode() bool { return v.hasMultiNode }
