// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"math"
	"slices"

	v1 "k8s.io/api/core/v1"
)

// View is a frozen copy of the inventory for a planner. It counts devices by kind:
// devices of a kind are interchangeable for every request in use. For a single request
// kinds may be finer than necessary; the sum over its kinds is right all the same.
type View struct {
	// Layout is a number that is equal for views with the same Kinds and PodLimits. In two
	// such views a node has equal counts if its NodeDevices.Revision is equal.
	Layout uint64
	// Revision is the inventory's revision (a number that grows with each change) when the
	// view was made.
	Revision uint64
	Kinds    []Kind
	// PodLimits names the limits on a node's number of pods that counts of devices cannot
	// express: limits on pods that request all devices of the node, or devices with a common
	// attribute value. Every pod with such a request uses up one of the pods that the limit
	// allows.
	PodLimits []string

	// plugin has, by extended resource of device plugins, the index in Kinds. index has, by
	// name of a node, the node's index in nodes.
	plugin       map[v1.ResourceName]int
	index        map[string]int
	nodes        frozen
	multiNode    []multiNodeSlice
	hasMultiNode bool
	// localKinds reports, by kind, whether some devices of the kind belong to a single
	// node.
	localKinds []bool
	// limitsElsewhere has, by index in PodLimits, the number of pods with the limited
	// request that a node without devices of its own admits.
	limitsElsewhere []int
	// options and relaxed have, by Request.Key, the results of Options and Least.
	options  map[string][]Option
	relaxed  map[string]Option
	problems []string
}

// View freezes the inventory for planners. Its kinds (sets of interchangeable devices)
// are fine enough for these requests and for those of recent views.
func (inv *Inventory) View(requests ...Request) *View {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	l := inv.layoutFor(requests)
	l.update(&inv.contents)
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
		view.PodLimits = append(view.PodLimits, l.podLimits[i].name)
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

// Options returns the ways to meet a request, in the claims' order of preference. The view
// must have been made with the request. The result is empty if the request needs nothing.
// It has several options only if firstAvailable alternatives differ in number.
func (v *View) Options(request *Request) []Option { return v.options[request.Key] }

// Least returns an option that can be met whenever one of Options can be met: if there
// are several, it has, for each device request, the smallest number of devices that an
// alternative asks for. If there is only one option, Least returns it.
func (v *View) Least(request *Request) Option { return v.relaxed[request.Key] }

// Problems returns sentences about selectors that failed on some devices. These devices
// do not count for the selectors' requests.
func (v *View) Problems() []string { return v.problems }

// Node returns the devices of a node. plugin has the free amount of each extended resource
// of the node's device plugins; it may be nil. On a node with both DRA devices and a device
// plugin, Node adds up their amounts, though the stock scheduler takes extended resources
// there only from the plugin. Node returns an error if a node selector is invalid.
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
		matches, err := slice.contains(node)
		if err != nil {
			return NodeDevices{}, err
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

// PluginKind returns the index in Kinds of the devices that device plugins offer as an extended
// resource. planned is false if no request of the view asks for them.
func (v *View) PluginKind(name v1.ResourceName) (kind int, planned bool) {
	kind, planned = v.plugin[name]
	return kind, planned
}

// UnitCount returns the number of the node's alignment units. The last one has the devices of
// device plugins.
func (v *View) UnitCount(name string) int { return len(v.nodeCounts(name).Units) }

// NodeRevision returns NodeDevices.Revision of a node in this view, 0 for a node without
// devices of its own.
func (v *View) NodeRevision(name string) uint64 {
	if i, ok := v.index[name]; ok && v.nodes.at(i) != nil {
		return v.nodes.at(i).Revision
	}
	return 0
}

// nodeCounts returns the devices that only this node can use. A node without such devices
// has one empty unit.
func (v *View) nodeCounts(name string) NodeDevices {
	if i, ok := v.index[name]; ok && v.nodes.at(i) != nil {
		return *v.nodes.at(i)
	}
	unit := Unit{Name: looseUnit, NUMA: unknownNUMA, Free: make([]int, len(v.Kinds)), Total: make([]int, len(v.Kinds))}
	return NodeDevices{Units: []Unit{unit}, PodLimits: v.limitsElsewhere}
}

// MultiNode returns true if several nodes can use some of the devices. Then the counts of
// any node may change when View.Revision changes, even if the node's NodeRevision does not.
func (v *View) MultiNode() bool { return v.hasMultiNode }

// layoutFor returns the layout, a division of the devices into kinds, with the queries of
// these requests (what they demand of each device) added. It starts a new layout if the old
// one has too many queries.
func (inv *Inventory) layoutFor(requests []Request) *layout {
	if inv.layout.full() {
		inv.layout = newLayout()
	}
	for i := range requests {
		inv.layout.addRequest(&requests[i])
	}
	return inv.layout
}

// layoutNumber returns the number of the layout for a new View. The number increases when
// kinds or pod limits differ from those of the last View. It also increases when the first
// device for several nodes appears or the last one disappears. While there are such devices,
// callers detect a change of a node's counts by View.Revision, otherwise by
// View.NodeRevision.
func (inv *Inventory) layoutNumber(l *layout) uint64 {
	now := shownLayout{layout: l, generation: l.generation, kinds: l.kinds.kinds, multiNode: len(inv.multiNode) > 0}
	last := &inv.shown
	if last.layout != now.layout || last.generation != now.generation || last.multiNode != now.multiNode || !slices.Equal(last.kinds, now.kinds) {
		inv.layouts++
		inv.shown = now
	}
	return inv.layouts
}
