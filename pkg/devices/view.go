// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"math"
	"slices"

	v1 "k8s.io/api/core/v1"
)

// View is a frozen copy of the inventory for a planner, counted by kinds. The kinds are
// fine enough for every request in use. For a single request they may be finer than
// necessary; the sums are the same.
type View struct {
	// Layout is equal for views with the same Kinds and PodLimits. In such views counts with
	// equal Revision are equal.
	Layout uint64
	// Revision is the inventory's revision when the view was made.
	Revision uint64
	Kinds    []Kind
	// PodLimits name the pod limits beyond counts of devices: a request for all devices of
	// the node, or for devices that have an attribute in common. Every pod with such a
	// request uses one permit.
	PodLimits []string

	plugin       map[v1.ResourceName]int
	index        map[string]int
	nodes        frozen
	multiNode    []multiNodeSlice
	hasMultiNode bool
	// localKinds is, by kind, true if some devices of the kind belong to one node.
	localKinds []bool
	// limitsElsewhere is for nodes without devices of their own: by index of PodLimits, the
	// number of pods with such a request that the node admits.
	limitsElsewhere []int
	options         map[string][]Option
	relaxed         map[string]Option
	problems        []string
}

// View freezes the inventory for planners. Its kinds are fine enough for these requests and
// for those of recent views.
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

// Least returns an option that is met whenever one of Options is met. If there is only one
// option, Least returns it.
func (v *View) Least(request *Request) Option { return v.relaxed[request.Key] }

// Problems returns sentences about selectors that failed on devices. Those devices do not
// count.
func (v *View) Problems() []string { return v.problems }

// Node returns the devices of a node. plugin is the free amount of each extended resource
// of the node's device plugins; it may be nil. On a node with both, devices and plugin add
// up, though the stock scheduler takes extended resources only from the plugin there. Node
// returns an error if a node selector is invalid.
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

// NodeRevision returns the Revision of the node's counts in this view.
func (v *View) NodeRevision(name string) uint64 {
	if i, ok := v.index[name]; ok && v.nodes.at(i) != nil {
		return v.nodes.at(i).Revision
	}
	return 0
}

// nodeCounts returns the devices that only this node can use.
func (v *View) nodeCounts(name string) NodeDevices {
	if i, ok := v.index[name]; ok && v.nodes.at(i) != nil {
		return *v.nodes.at(i)
	}
	unit := Unit{Name: looseUnit, NUMA: unknownNUMA, Free: make([]int, len(v.Kinds)), Total: make([]int, len(v.Kinds))}
	return NodeDevices{Units: []Unit{unit}, PodLimits: v.limitsElsewhere}
}

// MultiNode returns true if several nodes can use some of the devices. Then the counts of
// any node may change when View.Revision changes, even if its NodeRevision does not.
func (v *View) MultiNode() bool { return v.hasMultiNode }

// layoutFor returns a layout that covers the requests.
func (inv *Inventory) layoutFor(requests []Request) *layout {
	if len(inv.layout.queries) >= maxQueries || len(inv.layout.podLimits) >= maxQueries {
		inv.layout = newLayout()
	}
	for i := range requests {
		inv.layout.addRequest(&requests[i])
	}
	return inv.layout
}

// layoutNumber returns the number of the view's layout. The number increases when kinds or
// pod limits differ from those of the last view. It also increases when the first device
// for several nodes appears or the last one disappears: a different revision then shows the
// changes.
func (inv *Inventory) layoutNumber(l *layout) uint64 {
	now := shownLayout{layout: l, generation: l.generation, kinds: l.kinds.kinds, multiNode: len(inv.multiNode) > 0}
	last := &inv.shown
	if last.layout != now.layout || last.generation != now.generation || last.multiNode != now.multiNode || !slices.Equal(last.kinds, now.kinds) {
		inv.layouts++
		inv.shown = now
	}
	return inv.layouts
}
