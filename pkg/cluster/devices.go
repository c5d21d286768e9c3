// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"sync"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Devices keeps device counts up to date from the scheduler's own view of
// slices, classes and claims, in-flight allocations included. One serves all
// profiles of a process, which share that view.
type Devices struct {
	manager   fwk.SharedDRAManager
	inventory *devices.Inventory

	// mu guards what follows, and keeps two readers from bringing the inventory
	// up to date at once.
	mu sync.Mutex
	// published and whole are nil until Follow.
	published Published
	whole     func() bool
	// following reports that the inventory rests on news; listed, that slices with
	// the taints of rules were read in full the last time.
	following, listed bool
	slices            map[string]bool
	claims            map[types.UID]claimNews
	// named are the claims that hold something, by which the tracker knows them.
	named map[types.UID]types.NamespacedName
}

// NewDevices returns device counts that are read from the manager.
func NewDevices(manager fwk.SharedDRAManager) *Devices {
	return &Devices{
		manager: manager, inventory: devices.New(devices.DefaultOptions()),
		slices: map[string]bool{}, claims: map[types.UID]claimNews{}, named: map[types.UID]types.NamespacedName{},
	}
}

// classes joins the two interfaces of the DRA manager to DeviceClasses.
type classes struct {
	fwk.DeviceClassLister
	fwk.DeviceClassResolver
}

// Inventory returns what is counted, as of the last Sync.
func (d *Devices) Inventory() *devices.Inventory { return d.inventory }

// Request reads what the pod wants of devices. The error is a sentence about what
// nobody can serve as it is written.
func (d *Devices) Request(pod *v1.Pod) (devices.Request, error) {
	claims, err := d.Claims(pod)
	if err != nil {
		return devices.Request{}, err
	}
	return d.inventory.Request(pod, claims, classes{d.manager.DeviceClasses(), d.manager.DeviceClassResolver()})
}

// Claims returns the pod's claims in the order in which the pod names them. A
// claim whose allocation is on its way to the API server is shown with it, as a
// copy: such a claim takes nothing more.
func (d *Devices) Claims(pod *v1.Pod) ([]*resourceapi.ResourceClaim, error) {
	claims := make([]*resourceapi.ResourceClaim, 0, len(pod.Spec.ResourceClaims))
	err := d.each(pod, func(claim *resourceapi.ResourceClaim) {
		if pending := d.pending(claim); pending != nil {
			claim = claim.DeepCopy()
			claim.Status.Allocation = pending
		}
		claims = append(claims, claim)
	})
	return claims, err
}

// each calls do for each claim that exists for the pod.
func (d *Devices) each(pod *v1.Pod, do func(*resourceapi.ResourceClaim)) error {
	for i := range pod.Spec.ResourceClaims {
		ref := &pod.Spec.ResourceClaims[i]
		name, _, err := resourceclaim.Name(pod, ref)
		if err != nil {
			return fmt.Errorf("resourceClaims %s: %w", ref.Name, err)
		}
		if name == nil {
			continue // the controller found that no claim is needed
		}
		claim, err := d.manager.ResourceClaims().Get(pod.Namespace, *name)
		if err != nil {
			return fmt.Errorf("resourceClaims %s: %w", ref.Name, err)
		}
		do(claim)
	}
	return nil
}

// pending is what an unallocated claim is about to get, nil if nothing.
func (d *Devices) pending(claim *resourceapi.ResourceClaim) *resourceapi.AllocationResult {
	if claim.Status.Allocation != nil {
		return nil
	}
	return d.manager.ResourceClaims().GetPendingAllocation(claim.UID)
}

// PodNeed is what one pod asks of a node.
type PodNeed struct {
	plan.Need
	// RDMA reports that some of the devices are RDMA NICs.
	RDMA bool
	// Alternatives reports that there were several ways to serve the pod, in an order
	// that its author wrote, and that the least of them is what stands here.
	Alternatives bool
	// alignment is what the pod or its claims say, "" for nothing.
	alignment gangs.Alignment
	// want is what it was made of.
	want devices.Request
}

// Read returns what the pods ask of nodes, one for each pod, and reads the
// present device counts. The error is a sentence about the pod that cannot be
// understood.
func (s *Cache) Read(pods []*v1.Pod) ([]PodNeed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wants := make([]devices.Request, len(pods))
	if s.devices != nil {
		if err := s.readDevices(pods, wants); err != nil {
			return nil, err
		}
	}
	needs := make([]PodNeed, len(pods))
	for i, pod := range pods {
		var err error
		if needs[i].Resources, err = s.resources(pod, wants[i].Extended); err != nil {
			return nil, err
		}
		if s.devices == nil || wants[i].Empty() {
			continue
		}
		s.addDevices(&needs[i], &wants[i])
		if needs[i].alignment, err = s.devices.alignmentSaid(pod); err != nil {
			return nil, err
		}
		needs[i].Aligned = needs[i].alignment == gangs.AlignmentRequired
	}
	return needs, nil
}

// Unallocated reports whether the claim exists, has no devices, and nobody has
// reserved any for it.
func (s *Cache) Unallocated(namespace, name string) bool {
	if s.devices == nil {
		return false
	}
	claim, err := s.devices.manager.ResourceClaims().Get(namespace, name)
	return err == nil && claim.Status.Allocation == nil && s.devices.pending(claim) == nil
}

// Reach says where the devices of a need, which the last Read returned, can be used
// by several pods at once.
func (s *Cache) Reach(need *PodNeed) devices.Reach {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil || need.want.Empty() {
		return devices.Reach{}
	}
	return s.view.Reach(&need.want)
}

func (s *Cache) readDevices(pods []*v1.Pod, wants []devices.Request) error {
	if err := s.devices.Sync(); err != nil {
		return err
	}
	for i, pod := range pods {
		var err error
		if wants[i], err = s.devices.Request(pod); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	old := s.view
	s.view = s.devices.inventory.View(wants...)
	if old != nil && old.Layout == s.view.Layout {
		return nil
	}
	return s.meetKinds()
}

// meetKinds adds the view's kinds and permits to the layout. Names are stable,
// so what an earlier view had keeps its index.
func (s *Cache) meetKinds() error {
	for _, kind := range s.view.Kinds {
		if _, known := s.kind[kind.Name]; !known {
			s.kind[kind.Name] = len(s.layout.Kinds)
			s.layout.Kinds = append(s.layout.Kinds, kind.Label)
		}
	}
	for _, permit := range s.view.Permits {
		s.addResources([]v1.ResourceName{permitResource(permit)})
	}
	return s.grow()
}

// permitResource is the planner's resource for a permit.
func permitResource(permit string) v1.ResourceName {
	return v1.ResourceName("permit " + permit)
}

func (s *Cache) addDevices(need *PodNeed, want *devices.Request) {
	need.RDMA, need.Alternatives, need.want = want.RDMA, want.Alternatives, *want
	view := s.view
	option := view.Least(want)
	for _, demand := range option.Demands {
		deviceNeed := plan.DeviceNeed{Count: demand.Count}
		for _, kind := range demand.Kinds {
			deviceNeed.Kinds = append(deviceNeed.Kinds, s.kind[view.Kinds[kind].Name])
		}
		need.Devices = append(need.Devices, deviceNeed)
	}
	for _, permit := range option.Permits {
		i := s.resource[permitResource(view.Permits[permit])]
		need.Resources = append(need.Resources, make([]int64, max(0, i+1-len(need.Resources)))...)
		need.Resources[i] = 1
	}
}

// deviceRevision changes with anything that changes the node's device counts.
func (s *Cache) deviceRevision(node string) uint64 {
	switch {
	case s.view == nil:
		return 0
	case s.view.MultiNode():
		return s.view.Revision
	}
	return s.view.NodeRevision(node)
}

// addUnits puts the node's devices into its description.
func (s *Cache) addUnits(spec *plan.NodeSpec, info fwk.NodeInfo) error {
	if s.view == nil {
		return nil
	}
	view := s.view
	counts, err := view.Node(info.Node(), freeScalars(info))
	if err != nil {
		return fmt.Errorf("counting devices: %w", err)
	}
	for _, unit := range counts.Units {
		free := make([]int, len(s.layout.Kinds))
		for kind, n := range unit.Free {
			free[s.kind[view.Kinds[kind].Name]] = n
		}
		spec.Units = append(spec.Units, plan.Unit{Free: free})
	}
	for i, n := range counts.Permits {
		spec.Free[s.resource[permitResource(view.Permits[i])]] = int64(n)
	}
	return nil
}

// freeScalars is what a node's device plugins have left.
func freeScalars(info fwk.NodeInfo) map[v1.ResourceName]int64 {
	allocatable := info.GetAllocatable().GetScalarResources()
	if len(allocatable) == 0 {
		return nil
	}
	used := info.GetRequested().GetScalarResources()
	free := make(map[v1.ResourceName]int64, len(allocatable))
	for name, n := range allocatable {
		free[name] = n - used[name]
	}
	return free
}

// Pinned returns the only node that can serve the pod, if claims of it are
// allocated already: a scheduler that was killed between allocating and binding
// leaves such pods behind. It is "" for all others.
func (s *Cache) Pinned(pod *v1.Pod, nodes []fwk.NodeInfo) (string, error) {
	if s.devices == nil || len(pod.Spec.ResourceClaims) == 0 {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	need, err := s.devices.Request(pod)
	if err != nil || len(need.Pins) == 0 {
		return "", err
	}
	var found string
	for _, info := range nodes {
		allowed, err := need.AllowsNode(info.Node())
		if err != nil {
			return "", fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		switch {
		case !allowed:
		case found != "":
			return "", nil // several nodes will do: the filters tell them apart
		default:
			found = info.Node().Name
		}
	}
	return found, nil
}
