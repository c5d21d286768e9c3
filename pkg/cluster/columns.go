// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// baseResources are the resources of every node, in the order of the planner's layout (the
// list of resources by which the planner, which chooses nodes for gangs of pods, numbers
// them). CPU is in milli-cores, memory and storage are in bytes.
var baseResources = []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage, v1.ResourcePods}

// minColumns is the least number of resources and device kinds in the planner's layout at
// which those that are no longer in use are removed. Every removal counts all nodes again.
const minColumns = 64

// columns numbers the resources and the device kinds (sets of interchangeable devices) of
// the planner's layout. New names are appended. Extended resources that nodes no longer
// have, and device kinds and pod limits (limits of devices on a node's number of pods) that
// the device counts no longer have, stay until there are more than twice as many names as
// were in use at the last removal.
type columns struct {
	// resource has the index of each resource in the planner's layout.
	resource map[v1.ResourceName]int
	// kind has the index of each device kind in the planner's layout, by the kind's name.
	kind map[string]int
	// asked are the resources that the pods of the last Read (the call which reads the
	// needs of pods that are to be planned) request and no node had at that time. For one
	// plan they are numbered after the resources of the layout. They do not enter the
	// layout, because anyone may write any name into a pod.
	asked []string
	// limit is the number of names above which the names no longer in use are removed.
	limit int
	// offered has the extended resources of the nodes. It is nil unless there are more names
	// than limit.
	offered sets.Set[v1.ResourceName]
}

func newColumns() columns {
	return columns{resource: map[v1.ResourceName]int{}, kind: map[string]int{}, limit: minColumns}
}

// Columns returns the number of resources and of device kinds in the planner's layout.
func (s *Cache) Columns() (resources, kinds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.layout.Resources), len(s.layout.Kinds)
}

// Nodes returns the number of nodes in the cache.
func (s *Cache) Nodes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// meetResources adds new extended resources of the changed nodes to the planner's layout.
// It reports whether it added any. The resources in asked are added first, in their order:
// so they keep their numbers, and the needs of the last Read stay valid.
func (s *Cache) meetResources(changed []int) (bool, error) {
	var met []v1.ResourceName
	for _, i := range changed {
		if scalar := s.seen[i].info.GetAllocatable().GetScalarResources(); len(scalar) > 0 {
			met = append(met, slices.Sorted(maps.Keys(scalar))...)
		}
	}
	if !slices.ContainsFunc(met, func(name v1.ResourceName) bool { _, known := s.resource[name]; return !known }) {
		return false, nil
	}
	for _, name := range s.asked {
		s.addResource(v1.ResourceName(name))
	}
	s.asked = nil
	for _, name := range met {
		s.addResource(name)
	}
	return true, s.grow()
}

func (s *Cache) addResource(name v1.ResourceName) {
	if _, known := s.resource[name]; !known {
		s.resource[name] = len(s.layout.Resources)
		s.layout.Resources = append(s.layout.Resources, string(name))
	}
}

// addViewed adds the device kinds and the pod limits of the view (the device counts of the
// last Read) to the planner's layout. A name known from an earlier view keeps its index.
func (s *Cache) addViewed() {
	if s.view == nil {
		return
	}
	for _, kind := range s.view.Kinds {
		if _, known := s.kind[kind.Name]; !known {
			s.kind[kind.Name] = len(s.layout.Kinds)
			s.layout.Kinds = append(s.layout.Kinds, kind.Label)
		}
	}
	for _, limit := range s.view.PodLimits {
		s.addResource(podLimitResource(limit))
	}
}

func (s *Cache) grow() error {
	if err := s.state.Grow(s.layout); err != nil {
		return fmt.Errorf("growing the planner's layout: %w", err)
	}
	s.lookAgain()
	return nil
}

// lookAgain makes the next Refresh pass every node to the planner: any may have the new
// resources and kinds.
func (s *Cache) lookAgain() {
	for i := range s.seen {
		s.seen[i].generation = 0
	}
}

// ask gives a resource that a pod requests, and that is not in the layout, the next number
// after those of the layout.
func (s *Cache) ask(name v1.ResourceName) {
	if _, known := s.resource[name]; !known && !slices.Contains(s.asked, string(name)) {
		s.asked = append(s.asked, string(name))
	}
}

// index returns the planner's index of a resource of the layout, or of one that a pod of the
// last Read requests.
func (s *Cache) index(name v1.ResourceName) int {
	if i, known := s.resource[name]; known {
		return i
	}
	return len(s.layout.Resources) + slices.Index(s.asked, string(name))
}

// noteOffered collects the extended resources of the nodes if the layout has too many
// names.
func (s *Cache) noteOffered(nodes []fwk.NodeInfo) {
	if len(s.layout.Resources)+len(s.layout.Kinds) <= s.limit {
		return
	}
	s.offered = sets.New[v1.ResourceName]()
	for _, info := range nodes {
		for name := range info.GetAllocatable().GetScalarResources() {
			s.offered.Insert(name)
		}
	}
}

// relayOut removes the names that are no longer in use from the planner's layout, if there
// are too many. The planner then gets every node again.
func (s *Cache) relayOut() error {
	if s.offered == nil {
		return nil
	}
	s.layout.Resources, s.layout.Kinds = nil, nil
	clear(s.resource)
	clear(s.kind)
	for _, name := range slices.Concat(baseResources, sets.List(s.offered)) {
		s.addResource(name)
	}
	s.addViewed()
	state, err := plan.NewState(s.layout)
	if err != nil {
		return fmt.Errorf("fabric: %w", err)
	}
	state.Reserve(len(s.seen))
	s.state, s.offered = state, nil
	s.limit = max(minColumns, 2*(len(s.layout.Resources)+len(s.layout.Kinds)))
	s.lookAgain()
	return nil
}

// CapacityOf converts a need of the last Read, which has indices of the layout, to names of
// resources and device kinds.
func (s *Cache) CapacityOf(need plan.Need) gangs.Capacity {
	s.mu.Lock()
	defer s.mu.Unlock()
	named := gangs.Capacity{Resources: map[string]int64{}}
	names := slices.Concat(s.layout.Resources, s.asked)
	for i, amount := range need.Resources {
		if amount != 0 {
			named.Resources[names[i]] = amount
		}
	}
	for _, want := range need.Devices {
		held := gangs.HeldDevices{Count: want.Count}
		for name, kind := range s.kind {
			if slices.Contains(want.Kinds, kind) {
				held.Kinds = append(held.Kinds, name)
			}
		}
		slices.Sort(held.Kinds)
		named.Devices = append(named.Devices, held)
	}
	return named
}

// subtract subtracts held (capacity that a plan needs and no pod uses yet) from the node's
// free amounts. It takes devices from the first alignment units (devices that are close to
// each other) that have any free.
func (s *Cache) subtract(spec *plan.NodeSpec, held gangs.Capacity) {
	for name, amount := range held.Resources {
		if i, known := s.resource[v1.ResourceName(name)]; known {
			spec.Free[i] -= amount
		}
	}
	for _, want := range held.Devices {
		left := want.Count
		for u := range spec.Units {
			for _, name := range want.Kinds {
				kind, known := s.kind[name]
				if !known || kind >= len(spec.Units[u].Free) {
					continue
				}
				n := min(left, spec.Units[u].Free[kind])
				spec.Units[u].Free[kind] -= n
				left -= n
			}
		}
	}
}

// free returns the node's free amounts, by the resources' index in the planner's layout.
func (s *Cache) free(info fwk.NodeInfo) []int64 {
	allocatable, requested := info.GetAllocatable(), info.GetRequested()
	free := make([]int64, len(s.layout.Resources))
	free[s.resource[v1.ResourceCPU]] = allocatable.GetMilliCPU() - requested.GetMilliCPU()
	free[s.resource[v1.ResourceMemory]] = allocatable.GetMemory() - requested.GetMemory()
	free[s.resource[v1.ResourceEphemeralStorage]] = allocatable.GetEphemeralStorage() - requested.GetEphemeralStorage()
	free[s.resource[v1.ResourcePods]] = int64(allocatable.GetAllowedPodNumber() - len(info.GetPods()))
	used := requested.GetScalarResources()
	for name, amount := range allocatable.GetScalarResources() {
		free[s.resource[name]] = amount - used[name]
	}
	return free
}

// resources returns the pod's requests, by the resources' index in the planner's layout.
// It omits the extended resources in the argument devices: DRA devices serve those.
func (s *Cache) resources(pod *v1.Pod, devices map[v1.ResourceName]int64) []int64 {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	maps.DeleteFunc(requests, func(name v1.ResourceName, amount apiresource.Quantity) bool {
		return devices[name] != 0 || amount.IsZero()
	})
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		s.ask(name)
	}
	need := make([]int64, len(s.layout.Resources)+len(s.asked))
	need[s.resource[v1.ResourcePods]] = 1
	for name, amount := range requests {
		if name == v1.ResourceCPU {
			need[s.index(name)] = amount.MilliValue()
		} else {
			need[s.index(name)] = amount.Value()
		}
	}
	return need
}

// RequestsDevices reports whether the pod has resource claims or requests extended
// resources.
func RequestsDevices(pod *v1.Pod) bool {
	if len(pod.Spec.ResourceClaims) > 0 {
		return true
	}
	for name := range resource.PodRequests(pod, resource.PodResourcesOptions{}) {
		if v1helper.IsExtendedResourceName(name) {
			return true
		}
	}
	return false
}
