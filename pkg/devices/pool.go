// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"cmp"
	"fmt"
	"slices"

	resourceapi "k8s.io/api/resource/v1"
)

// poolKey identifies a pool of devices. A pool belongs to the cluster, not to a node,
// though nearly all pools have devices of one node only.
type poolKey struct{ driver, name string }

func poolOf(slice *resourceapi.ResourceSlice) poolKey {
	return poolKey{driver: slice.Spec.Driver, name: slice.Spec.Pool.Name}
}

// pool has every known ResourceSlice of one pool, of any generation.
type pool struct {
	key    poolKey
	slices map[string]*resourceapi.ResourceSlice
	// state is computed again from the slices after each change of a slice.
	state poolState
}

// poolState is the state of a pool by the slices of its newest generation.
type poolState struct {
	generation int64
	// slices has the slices of the newest generation, sorted by name: the order in which
	// the stock allocator tries them.
	slices []*resourceapi.ResourceSlice
	// problem explains why no device of the pool is usable. It is "" if the pool has no
	// such problem.
	problem string
	// counters are the counters that partitionable devices of the pool share.
	counters counterSets
	// nodes are the names of nodes in the slices of any generation, sorted.
	nodes []string
	// multiNode is true if some devices can be used on more than one node.
	multiNode bool
	// bindingConditions is true if some devices have binding conditions. The allocator
	// tries such pools last.
	bindingConditions bool
}

// refresh computes the pool's state. The devices are usable only if every slice of the
// newest generation is present. A driver replaces a pool's slices one by one, and the slices
// still to come may have other devices than the slices that they replace.
func (p *pool) refresh() {
	state := poolState{}
	for _, slice := range p.slices {
		state.generation = max(state.generation, slice.Spec.Pool.Generation)
	}
	for _, slice := range p.slices {
		if slice.Spec.Pool.Generation == state.generation {
			state.slices = append(state.slices, slice)
		}
	}
	slices.SortFunc(state.slices, func(a, b *resourceapi.ResourceSlice) int { return cmp.Compare(a.Name, b.Name) })
	state.place(p.slices)
	state.problem = state.check()
	p.state = state
}

func (s *poolState) check() string {
	if len(s.slices) == 0 {
		return "no slices"
	}
	want := s.slices[0].Spec.Pool.ResourceSliceCount
	if int64(len(s.slices)) != want {
		return fmt.Sprintf("%d of %d slices of generation %d are there", len(s.slices), want, s.generation)
	}
	names := map[string]bool{}
	for _, slice := range s.slices {
		for i := range slice.Spec.Devices {
			name := slice.Spec.Devices[i].Name
			if names[name] {
				return fmt.Sprintf("device name %s is there twice", name)
			}
			names[name] = true
			s.bindingConditions = s.bindingConditions || slice.Spec.Devices[i].BindingConditions != nil
		}
	}
	return s.gatherCounters()
}

// gatherCounters collects the pool's counter sets. It returns a problem if a set name is
// repeated or a device consumes a counter that does not exist, or "".
func (s *poolState) gatherCounters() string {
	for _, slice := range s.slices {
		for i := range slice.Spec.SharedCounters {
			set := &slice.Spec.SharedCounters[i]
			if s.counters == nil {
				s.counters = counterSets{}
			}
			if _, twice := s.counters[set.Name]; twice {
				return fmt.Sprintf("counter set %s is there twice", set.Name)
			}
			s.counters[set.Name] = set.Counters
		}
	}
	for _, slice := range s.slices {
		for i := range slice.Spec.Devices {
			if name := s.counters.missing(&slice.Spec.Devices[i]); name != "" {
				return fmt.Sprintf("device %s consumes counter %s, which is not there", slice.Spec.Devices[i].Name, name)
			}
		}
	}
	return ""
}

// place sets nodes and multiNode from all slices of the pool, of any generation.
func (s *poolState) place(all map[string]*resourceapi.ResourceSlice) {
	for _, slice := range all {
		if name := nodeOf(slice); name != "" {
			s.nodes = append(s.nodes, name)
		} else if len(slice.Spec.Devices) > 0 {
			s.multiNode = true
		}
	}
	slices.Sort(s.nodes)
	s.nodes = slices.Compact(s.nodes)
}

// local returns true if only one node can use devices of the pool.
func (s *poolState) local() bool { return !s.multiNode && len(s.nodes) == 1 }

// sameUse compares the states of the pool before and after one slice changed. It returns
// true only if nothing changed for the nodes of the pool's other slices.
func (s *poolState) sameUse(other *poolState) bool {
	return s.generation == other.generation && s.problem == other.problem && s.bindingConditions == other.bindingConditions &&
		s.counters == nil && other.counters == nil
}

// nodesOfDevice returns the nodes whose counts depend on the allocation of the named
// device.
func (p *pool) nodesOfDevice(name string) []string {
	if len(p.state.nodes) <= 1 || p.state.counters != nil {
		return p.state.nodes
	}
	for _, slice := range p.state.slices {
		for i := range slice.Spec.Devices {
			if slice.Spec.Devices[i].Name == name {
				return []string{nodeOf(slice)}
			}
		}
	}
	return nil
}

// nodeOf returns the node that alone can use a slice's devices. It returns "" if several
// nodes can use them, or if the slice names nodes for each device.
func nodeOf(slice *resourceapi.ResourceSlice) string {
	if slice.Spec.NodeName == nil {
		return ""
	}
	return *slice.Spec.NodeName
}
