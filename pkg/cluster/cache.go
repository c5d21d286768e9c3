// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Level is one level of the fabric. Its domains are named by a node label, or by
// an attribute of the nodes' devices if there is one.
type Level struct {
	Name            string
	NodeLabel       string
	DeviceAttribute string
	// Boundary reports that RDMA cannot cross domains of this level.
	Boundary bool
}

// Cache keeps the planner's picture of the cluster for one profile. Its
// methods may be called from any goroutine.
type Cache struct {
	mu     sync.Mutex
	levels []Level
	layout plan.Layout
	state  *plan.State
	// seen is what the nodes were like, in the order in which they were last given.
	seen    []nodeRecord
	devices *Devices
	// view is what devices were counted as when needs were last read.
	view *devices.View
	// resource gives the index of each resource in the layout.
	resource map[v1.ResourceName]int
	kind     map[string]int
}

// nodeRecord is what a node was like when the planner last got it; generation is 0 if the planner is to get it.
type nodeRecord struct {
	info       fwk.NodeInfo
	name       string
	generation int64
	devices    uint64
	held       bool
	// conflict says which levels the node is in no domain of because its devices
	// disagree.
	conflict string
}

// NewCache returns a cache without devices over the levels, coarse to fine.
func NewCache(levels []Level) (*Cache, error) { return newCache(levels, nil) }

func newCache(levels []Level, devices *Devices) (*Cache, error) {
	s := &Cache{
		levels:   slices.Clone(levels),
		devices:  devices,
		resource: map[v1.ResourceName]int{},
		kind:     map[string]int{},
	}
	for _, level := range levels {
		if level.DeviceAttribute != "" && devices == nil {
			return nil, fmt.Errorf("level %s is named by device attribute %s, which needs plugin DRAAware in the profile",
				level.Name, level.DeviceAttribute)
		}
		s.layout.Levels = append(s.layout.Levels, plan.Level{Name: level.Name, Boundary: level.Boundary})
	}
	s.addResources(baseResources)
	state, err := plan.NewState(s.layout)
	if err != nil {
		return nil, fmt.Errorf("fabric: %w", err)
	}
	s.state = state
	return s, nil
}

// LevelNames returns the names that a topology constraint may use, coarse to fine.
func (s *Cache) LevelNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.levels)+1)
	for _, level := range s.levels {
		names = append(names, level.Name)
	}
	return append(names, plan.NodeLevel)
}

// Refresh brings the picture up to date and returns it frozen. The nodes are
// all nodes of the scheduler's snapshot; holds are subtracted from them.
func (s *Cache) Refresh(nodes []fwk.NodeInfo, holds []gangs.Hold) (*plan.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrange(nodes)
	held := make(map[string][]plan.Need, len(holds))
	for _, h := range holds {
		held[h.Node] = append(held[h.Node], h.Need)
	}
	changed := s.changed(held)
	if grown, err := s.meetResources(changed); err != nil {
		return nil, err
	} else if grown {
		changed = s.changed(held)
	}
	for _, i := range changed {
		if err := s.look(&s.seen[i], held[s.seen[i].name]); err != nil {
			return nil, err
		}
	}
	return s.state.Freeze(), nil
}

// arrange puts what was seen in the order of the nodes, and removes those that are
// not among them. The scheduler keeps a node's NodeInfo for as long as there is the
// node, and gives them in the same order while none comes or goes, so there is
// mostly nothing to do; looking for every name would be most of the work of a plan.
func (s *Cache) arrange(nodes []fwk.NodeInfo) {
	if slices.EqualFunc(s.seen, nodes, nodeRecord.isOf) {
		return
	}
	before := make(map[string]nodeRecord, len(s.seen))
	for _, saw := range s.seen {
		before[saw.name] = saw
	}
	delete(before, "")
	s.seen = make([]nodeRecord, 0, len(nodes))
	for _, info := range nodes {
		name := nodeNameOf(info)
		saw := before[name]
		delete(before, name)
		saw.info, saw.name = info, name
		s.seen = append(s.seen, saw)
	}
	for name := range before {
		s.state.Remove(name)
	}
}

// isOf reports whether the node is the one that was seen.
func (saw nodeRecord) isOf(info fwk.NodeInfo) bool {
	return saw.info == info && (saw.generation == info.GetGeneration() || saw.name == nodeNameOf(info))
}

// nodeNameOf returns "" for a NodeInfo without a node, whose pods outlived it. It keeps its place in the order and is not
// told to the planner.
func nodeNameOf(info fwk.NodeInfo) string {
	if node := info.Node(); node != nil {
		return node.Name
	}
	return ""
}

// changed returns the nodes to be told to the planner anew, given what is held on
// each.
func (s *Cache) changed(held map[string][]plan.Need) []int {
	var changed []int
	for i := range s.seen {
		saw := &s.seen[i]
		same := saw.generation != 0 && saw.generation == saw.info.GetGeneration() && !saw.held &&
			(s.view == nil || saw.devices == s.deviceRevision(saw.name)) && held[saw.name] == nil
		if !same && saw.name != "" {
			changed = append(changed, i)
		}
	}
	return changed
}

// look passes one node to the planner.
func (s *Cache) look(saw *nodeRecord, held []plan.Need) error {
	spec, conflict := s.describe(saw.info)
	if conflict != "" && conflict != saw.conflict {
		klog.Background().Info("Devices of a node disagree on where it stands; it belongs to no domain of the level",
			"node", klog.KRef("", saw.name), "disagreement", conflict)
	}
	saw.generation = 0 // what fails below is to be looked at again
	if err := s.addUnits(&spec, saw.info); err != nil {
		return fmt.Errorf("node %s: %w", saw.name, err)
	}
	for _, need := range held {
		subtract(&spec, need)
	}
	if err := s.state.Upsert(spec); err != nil {
		return fmt.Errorf("telling the planner of node %s: %w", saw.name, err)
	}
	saw.generation, saw.devices = saw.info.GetGeneration(), s.deviceRevision(saw.name)
	saw.held, saw.conflict = len(held) > 0, conflict
	return nil
}

// describe returns what the planner needs to know of a node, devices aside, and where
// its devices disagree on its place.
func (s *Cache) describe(info fwk.NodeInfo) (spec plan.NodeSpec, conflict string) {
	node := info.Node()
	spec = plan.NodeSpec{
		Name:          node.Name,
		Domains:       make([]string, len(s.levels)),
		Free:          s.free(info),
		Unschedulable: node.Spec.Unschedulable,
	}
	for i, level := range s.levels {
		if level.DeviceAttribute == "" {
			spec.Domains[i] = node.Labels[level.NodeLabel]
			continue
		}
		switch values := s.devices.inventory.AttributeValues(node.Name, level.DeviceAttribute); len(values) {
		case 0:
		case 1:
			spec.Domains[i] = values[0]
		default:
			conflict += fmt.Sprintf("level %s, attribute %s: %s; ", level.Name, level.DeviceAttribute, strings.Join(values, ", "))
		}
	}
	return spec, strings.TrimSuffix(conflict, "; ")
}

// subtract takes a need off a node's free room; devices go from the first
// units that have them.
func subtract(spec *plan.NodeSpec, need plan.Need) {
	for i, amount := range need.Resources {
		spec.Free[i] -= amount
	}
	for _, want := range need.Devices {
		left := want.Count
		for u := range spec.Units {
			for _, kind := range want.Kinds {
				if kind >= len(spec.Units[u].Free) {
					continue
				}
				n := min(left, spec.Units[u].Free[kind])
				spec.Units[u].Free[kind] -= n
				left -= n
			}
		}
	}
}
