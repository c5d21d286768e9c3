// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Level is one level of the fabric. Its domains are named by a node label, or by
// an attribute of the nodes' devices if there is one.
type Level struct {
	Name            string
	NodeLabel       string
	DeviceAttribute string
	// Boundary says that RDMA cannot cross domains of this level.
	Boundary bool
}

// Survey keeps the planner's picture of the cluster for one profile. Its
// methods may be called from any goroutine.
type Survey struct {
	mu      sync.Mutex
	levels  []Level
	layout  plan.Layout
	state   *plan.State
	seen    map[string]sighting
	devices *Devices
	// view is what devices were counted as when needs were last read.
	view *devices.View
	// resource gives the index of each resource in the layout.
	resource map[v1.ResourceName]int
	kind     map[string]int
	round    uint64
}

// sighting is what a node was like when it was last told to the planner.
type sighting struct {
	generation int64
	devices    uint64
	held       bool
	round      uint64
	// quarrel says which levels the node is in no domain of because its devices
	// disagree.
	quarrel string
}

// Hold is room on a node that a plan under way counts on, though no pod shows
// it yet.
type Hold struct {
	Node string
	Need plan.Need
}

// NewSurvey returns a survey without devices over the levels, coarse to fine.
func NewSurvey(levels []Level) (*Survey, error) { return newSurvey(levels, nil) }

func newSurvey(levels []Level, devices *Devices) (*Survey, error) {
	s := &Survey{
		levels:   slices.Clone(levels),
		devices:  devices,
		seen:     map[string]sighting{},
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

// LevelNames returns the names that a topology wish may use, coarse to fine.
func (s *Survey) LevelNames() []string {
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
func (s *Survey) Refresh(nodes []fwk.NodeInfo, holds []Hold) (*plan.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.meetResources(nodes); err != nil {
		return nil, err
	}
	held := map[string][]plan.Need{}
	for _, h := range holds {
		held[h.Node] = append(held[h.Node], h.Need)
	}
	s.round++
	for _, info := range nodes {
		if info.Node() == nil {
			continue
		}
		if err := s.look(info, held[info.Node().Name]); err != nil {
			return nil, err
		}
	}
	s.forget()
	return s.state.Freeze(), nil
}

// look tells the planner of one node, if anything about it changed.
func (s *Survey) look(info fwk.NodeInfo, held []plan.Need) error {
	name := info.Node().Name
	now := sighting{generation: info.GetGeneration(), devices: s.deviceRevision(name), held: len(held) > 0, round: s.round}
	before, known := s.seen[name]
	if known && before.generation == now.generation && before.devices == now.devices && !before.held && !now.held {
		now.quarrel = before.quarrel
		s.seen[name] = now
		return nil
	}
	spec, quarrel := s.describe(info)
	if now.quarrel = quarrel; quarrel != "" && quarrel != before.quarrel {
		klog.Background().Info("Devices of a node disagree on where it stands; it belongs to no domain of the level",
			"node", klog.KRef("", name), "disagreement", quarrel)
	}
	if err := s.addUnits(&spec, info); err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	for _, need := range held {
		subtract(&spec, need)
	}
	if err := s.state.Upsert(spec); err != nil {
		return fmt.Errorf("telling the planner of node %s: %w", name, err)
	}
	s.seen[name] = now // not before: what failed is to be looked at again
	return nil
}

// forget removes the nodes that were not in this round.
func (s *Survey) forget() {
	for name, sight := range s.seen {
		if sight.round != s.round {
			s.state.Remove(name)
			delete(s.seen, name)
		}
	}
}

// describe says what the planner needs to know of a node, devices aside, and where
// its devices disagree on its place.
func (s *Survey) describe(info fwk.NodeInfo) (spec plan.NodeSpec, quarrel string) {
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
			quarrel += fmt.Sprintf("level %s, attribute %s: %s; ", level.Name, level.DeviceAttribute, strings.Join(values, ", "))
		}
	}
	return spec, strings.TrimSuffix(quarrel, "; ")
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
