// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Level is one level of the network topology, such as rack. The value of DeviceAttribute
// on a node's devices names the node's domain of the level, such as a single rack. If
// DeviceAttribute is "", the node's label NodeLabel does.
type Level struct {
	Name            string
	NodeLabel       string
	DeviceAttribute string
	// Boundary is set if RDMA cannot pass from one domain of this level to another.
	Boundary bool
}

// Cache keeps, for one profile of the scheduler, the state of the cluster from which the
// planner chooses nodes for gangs of pods. Its methods are safe for concurrent use.
type Cache struct {
	mu     sync.Mutex
	levels []Level
	layout plan.Layout
	state  *plan.State
	// seen has the state of each node as last passed to the planner, in the order of the
	// last node list.
	seen    []nodeRecord
	devices *Devices
	// view has the device counts as read last.
	view *devices.View
	columns
}

// nodeRecord is the node as last passed to the planner. A generation of 0 makes the next
// Refresh pass it again.
type nodeRecord struct {
	info       fwk.NodeInfo
	name       string
	generation int64
	devices    uint64
	held       bool
	// conflict names the levels at which the node is in no domain because its devices have
	// different attribute values, "" if there are none.
	conflict string
}

// NewCache returns a cache that counts no devices. The levels are ordered coarse to fine.
func NewCache(levels []Level) (*Cache, error) { return newCache(levels, nil) }

func newCache(levels []Level, devices *Devices) (*Cache, error) {
	s := &Cache{
		levels:  slices.Clone(levels),
		devices: devices,
		columns: newColumns(),
	}
	for _, level := range levels {
		if level.DeviceAttribute != "" && devices == nil {
			return nil, fmt.Errorf("level %s is named by device attribute %s, which needs plugin DRAAware in the profile",
				level.Name, level.DeviceAttribute)
		}
		s.layout.Levels = append(s.layout.Levels, plan.Level{Name: level.Name, Boundary: level.Boundary})
	}
	for _, name := range baseResources {
		s.addResource(name)
	}
	state, err := plan.NewState(s.layout)
	if err != nil {
		return nil, fmt.Errorf("fabric: %w", err)
	}
	s.state = state
	return s, nil
}

// LevelNames returns the valid level names of a topology constraint, coarse to fine.
func (s *Cache) LevelNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.levels)+1)
	for _, level := range s.levels {
		names = append(names, level.Name)
	}
	return append(names, plan.NodeLevel)
}

// Refresh updates the planner's state and returns a snapshot of it. The nodes must be all
// nodes of the scheduler's snapshot. Refresh subtracts the holds (capacity that plans
// need and no pod uses yet) from the nodes' free amounts.
func (s *Cache) Refresh(nodes []fwk.NodeInfo, holds []gangs.Hold) (*plan.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrange(nodes)
	held := make(map[string][]gangs.Capacity, len(holds))
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
	s.noteOffered(nodes)
	return s.state.Freeze().WithResources(s.asked), nil
}

// arrange puts the node records in the order of the nodes and removes the records of all
// nodes that are gone. It returns early if nothing changed, the usual case: the scheduler
// keeps a node's NodeInfo while the node exists, and keeps the order while no node is added
// or removed. Looking up every name would be most of the work of a plan.
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

// isOf reports whether the record is of this node.
func (saw nodeRecord) isOf(info fwk.NodeInfo) bool {
	return saw.info == info && (saw.generation == info.GetGeneration() || saw.name == nodeNameOf(info))
}

// nodeNameOf returns the node's name, or "" for a NodeInfo that only has pods left because
// its node was deleted. The record of such a NodeInfo keeps its position, but Refresh does
// not pass it to the planner.
func nodeNameOf(info fwk.NodeInfo) string {
	if node := info.Node(); node != nil {
		return node.Name
	}
	return ""
}

// changed returns the indices in s.seen of the nodes to pass to the planner again. held
// is, by node name, the capacity that plans need and no pod uses yet.
func (s *Cache) changed(held map[string][]gangs.Capacity) []int {
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

// look computes the free capacity of one node, less held (capacity that plans need and no
// pod uses yet), and passes it to the planner.
func (s *Cache) look(saw *nodeRecord, held []gangs.Capacity) error {
	spec, conflict := s.describe(saw.info)
	if conflict != "" && conflict != saw.conflict {
		klog.Background().Info("Devices of a node disagree on where it stands; it belongs to no domain of the level",
			"node", klog.KRef("", saw.name), "disagreement", conflict)
	}
	saw.generation = 0 // after an error below, the next Refresh tries again
	if err := s.addUnits(&spec, saw.info); err != nil {
		return fmt.Errorf("node %s: %w", saw.name, err)
	}
	for _, need := range held {
		s.subtract(&spec, need)
	}
	if err := s.state.Upsert(spec); err != nil {
		return fmt.Errorf("telling the planner of node %s: %w", saw.name, err)
	}
	saw.generation, saw.devices = saw.info.GetGeneration(), s.deviceRevision(saw.name)
	saw.held, saw.conflict = len(held) > 0, conflict
	return nil
}

// describe returns the node as the planner needs it, without devices. conflict names the
// levels at which the devices have different attribute values, and these values.
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
