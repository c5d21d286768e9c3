// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Devices keeps device counts up to date from the scheduler's view of ResourceSlices,
// DeviceClasses and ResourceClaims, pending allocations included. All profiles of a process
// share that view and one Devices.
type Devices struct {
	manager   fwk.SharedDRAManager
	inventory *devices.Inventory

	// mu guards the fields below. It also keeps two callers from updating the inventory at
	// once.
	mu sync.Mutex
	// published reads ResourceSlices from an informer. whole reports whether all plugins of
	// the process that allocate devices report this by ClaimAssumed. Both fields are nil
	// until Follow is called.
	published Published
	whole     func() bool
	// following is set while the inventory is updated from changes instead of full lists.
	// listed is set if the next update must list all slices: the last one listed them with
	// the taints of DeviceTaintRules, or too many slices changed since.
	following, listed bool
	// slices has the names of ResourceSlices with a change that the inventory lacks. claims
	// has, by UID of a claim, the change that the scheduler's claim tracker may not show yet.
	slices map[string]bool
	claims map[types.UID]claimNews
	// claimsLimit is the number of claims in the map claims at which those that no longer
	// exist are dropped.
	claimsLimit int
	// named has, by UID, the name of each claim that holds devices, because the claim
	// tracker finds claims by name.
	named map[types.UID]types.NamespacedName
	// extended has the claims of PendingExtended, by UID of the pod.
	extended map[types.UID]types.UID
}

// NewDevices returns device counts that are read from the scheduler's DRA manager.
func NewDevices(manager fwk.SharedDRAManager) *Devices {
	return newDevices(manager, devices.New(devices.DefaultOptions()))
}

func newDevices(manager fwk.SharedDRAManager, inventory *devices.Inventory) *Devices {
	return &Devices{
		manager: manager, inventory: inventory,
		slices: map[string]bool{}, claims: map[types.UID]claimNews{}, claimsLimit: minClaimNews, named: map[types.UID]types.NamespacedName{},
		extended: map[types.UID]types.UID{},
	}
}

// classes joins the manager's two interfaces to DeviceClasses.
type classes struct {
	fwk.DeviceClassLister
	fwk.DeviceClassResolver
}

// Inventory returns the devices of the cluster and which of them are free, as of the last
// Sync.
func (d *Devices) Inventory() *devices.Inventory { return d.inventory }

// Request returns the devices the pod requests. The error is a sentence that explains why
// no node could serve the request as written.
func (d *Devices) Request(pod *v1.Pod) (devices.Request, error) {
	return d.RequestOf(pod, "", nil)
}

// RequestOf is as Request, but of requests with alternatives (firstAvailable) only the chosen
// ones remain, and the freed claims have no devices.
func (d *Devices) RequestOf(pod *v1.Pod, chosen gangs.Subrequests, freed *devices.ClaimSet) (devices.Request, error) {
	claims, err := d.Claims(pod)
	if err != nil {
		return devices.Request{}, err
	}
	for i := range claims {
		claims[i] = Narrow(pod, unusedIf(freed.Has(claims[i].UID), claims[i]), chosen)
	}
	d.inventory.Refill(time.Now())
	return d.inventory.Request(pod, claims, classes{d.manager.DeviceClasses(), d.manager.DeviceClassResolver()})
}

// alternatives returns the ways to choose subrequests (firstAvailable) for the pod's claims
// that ask for different devices, or nil if there are fewer than two or too many.
func (d *Devices) alternatives(pod *v1.Pod) []Alternative {
	claims, err := d.Claims(pod)
	if err != nil {
		return nil
	}
	var out []Alternative
	for _, way := range waysToChoose(pod, claims) {
		if way.want, err = d.RequestOf(pod, way.Subrequests, nil); err != nil {
			continue // together its subrequests ask for more devices than a claim can hold
		}
		if !slices.ContainsFunc(out, func(other Alternative) bool { return other.want.Key == way.want.Key }) {
			out = append(out, way)
		}
	}
	if len(out) < 2 {
		return nil
	}
	return out
}

// Claims returns the pod's claims in the order of the pod's spec. It copies a claim with a
// pending allocation and sets that allocation in the copy's status: such a claim needs no
// more devices.
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

// each calls do for each of the pod's claims. It returns an error if a claim does not
// exist.
func (d *Devices) each(pod *v1.Pod, do func(*resourceapi.ResourceClaim)) error {
	for i := range pod.Spec.ResourceClaims {
		ref := &pod.Spec.ResourceClaims[i]
		name, _, err := resourceclaim.Name(pod, ref)
		if err != nil {
			return fmt.Errorf("resourceClaims %s: %w", ref.Name, err)
		}
		if name == nil {
			continue // the controller decided that the pod needs no claim
		}
		claim, err := d.manager.ResourceClaims().Get(pod.Namespace, *name)
		if err != nil {
			return fmt.Errorf("resourceClaims %s: %w", ref.Name, err)
		}
		do(claim)
	}
	return nil
}

// pending returns the pending allocation of an unallocated claim, or nil if there is none.
func (d *Devices) pending(claim *resourceapi.ResourceClaim) *resourceapi.AllocationResult {
	if claim.Status.Allocation != nil {
		return nil
	}
	return d.manager.ResourceClaims().GetPendingAllocation(claim.UID)
}

// PodNeed is what one pod needs of a node.
type PodNeed struct {
	plan.Need
	// RDMA is set if some of the devices are RDMA NICs.
	RDMA bool
	// FirstAvailable is set if requests have alternatives. Need then has, for each such
	// request, the least that one of its alternatives needs.
	FirstAvailable bool
	// Alternatives are the ways to choose one alternative for each such request, in order of
	// preference. It is empty if there are none or too many.
	Alternatives []Alternative
	// alignment is the device alignment (how close GPUs and NICs must be) that the pod or
	// its claims request, "" if none.
	alignment gangs.Alignment
	// want is the device request that Need was made from.
	want devices.Request
}

// Read updates the device counts and returns the need of each pod, in the order of pods. The
// needs are valid until the next Read, which may give resources and device kinds (sets of
// interchangeable devices) other numbers. The error is a sentence about the pod with an
// invalid request.
func (s *Cache) Read(pods []*v1.Pod) ([]PodNeed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wants, needs := make([]devices.Request, len(pods)), make([]PodNeed, len(pods))
	if s.devices != nil {
		if err := s.readDevices(pods, wants, needs); err != nil {
			return nil, err
		}
	}
	if err := s.relayOut(); err != nil {
		return nil, err
	}
	s.asked = nil
	for i, pod := range pods {
		needs[i].Resources = s.resources(pod, wants[i].Extended)
		if s.devices == nil || wants[i].Empty() {
			continue
		}
		for a := range needs[i].Alternatives {
			way := &needs[i].Alternatives[a]
			way.Resources, way.RDMA = slices.Clone(needs[i].Resources), way.want.RDMA
			s.addDevices(&way.Need, &way.want)
		}
		needs[i].RDMA, needs[i].FirstAvailable, needs[i].want = wants[i].RDMA, wants[i].Alternatives, wants[i]
		s.addDevices(&needs[i].Need, &wants[i])
		var err error
		if needs[i].alignment, err = s.devices.alignmentSaid(pod); err != nil {
			return nil, err
		}
		needs[i].setAligned(needs[i].alignment)
	}
	return needs, nil
}

// Unallocated reports whether the claim exists and has neither an allocation nor a pending
// allocation.
func (s *Cache) Unallocated(namespace, name string) bool {
	if s.devices == nil {
		return false
	}
	claim, err := s.devices.manager.ResourceClaims().Get(namespace, name)
	return err == nil && claim.Status.Allocation == nil && s.devices.pending(claim) == nil
}

// ClaimKey returns a key that is equal for claims with equal specs, which ask for the
// same devices. It returns "" for a claim that does not exist.
func (s *Cache) ClaimKey(namespace, name string) string {
	if s.devices == nil {
		return ""
	}
	claim, err := s.devices.manager.ResourceClaims().Get(namespace, name)
	if err != nil {
		return ""
	}
	encoded, err := claim.Spec.Marshal()
	if err != nil {
		return ""
	}
	return string(encoded)
}

// Reach returns on which nodes several pods can use the devices of one need at the same
// time. The need must come from the last Read.
func (s *Cache) Reach(need *PodNeed) devices.Reach {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil || need.want.Empty() {
		return devices.Reach{}
	}
	return s.view.Reach(&need.want)
}

// readDevices reads the pods' requests and the alternatives in them.
func (s *Cache) readDevices(pods []*v1.Pod, wants []devices.Request, needs []PodNeed) error {
	if err := s.devices.Sync(); err != nil {
		return err
	}
	for i, pod := range pods {
		var err error
		if wants[i], err = s.devices.Request(pod); err == nil {
			err = s.devices.inventory.Affords(pod.Namespace, &wants[i])
		}
		if err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	all := wants
	for i, pod := range pods {
		if !wants[i].Alternatives {
			continue
		}
		needs[i].Alternatives = s.devices.alternatives(pod)
		for _, way := range needs[i].Alternatives {
			all = append(all[:len(all):len(all)], way.want)
		}
	}
	old := s.view
	s.view = s.devices.inventory.View(all...)
	if old != nil && old.Layout == s.view.Layout {
		return nil
	}
	s.addViewed()
	return s.grow()
}

// podLimitResource returns the name of the planner resource that counts how many more
// pods the devices of a node allow (a pod limit).
func podLimitResource(limit string) v1.ResourceName {
	return v1.ResourceName(podLimitPrefix + limit)
}

// podLimitPrefix begins the names of the resources that count a limit. No resource of a
// node has a space in its name.
const podLimitPrefix = "limit "

func isPodLimit(name v1.ResourceName) bool { return strings.HasPrefix(string(name), podLimitPrefix) }

func (s *Cache) addDevices(need *plan.Need, want *devices.Request) {
	view := s.view
	option := view.Least(want)
	for _, demand := range option.Demands {
		deviceNeed := plan.DeviceNeed{Count: demand.Count}
		for _, kind := range demand.Kinds {
			deviceNeed.Kinds = append(deviceNeed.Kinds, s.kind[view.Kinds[kind].Name])
		}
		need.Devices = append(need.Devices, deviceNeed)
	}
	for _, limit := range option.PodLimits {
		i := s.resource[podLimitResource(view.PodLimits[limit])]
		need.Resources = append(need.Resources, make([]int64, max(0, i+1-len(need.Resources)))...)
		need.Resources[i] = 1
	}
}

// deviceRevision returns a number that changes whenever the node's device counts change.
func (s *Cache) deviceRevision(node string) uint64 {
	switch {
	case s.view == nil:
		return 0
	case s.view.MultiNode():
		return s.view.Revision
	}
	return s.view.NodeRevision(node)
}

// addUnits adds the node's free devices, by alignment unit (devices that are close to
// each other), and its pod limits to spec.
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
	for i, n := range counts.PodLimits {
		spec.Free[s.resource[podLimitResource(view.PodLimits[i])]] = int64(n)
	}
	return nil
}

// freeScalars returns the free amounts of the node's extended resources.
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

// Pinned returns the only node that can serve the pod because of claims that are already
// allocated, or "" if there is no such claim or several nodes can. A scheduler killed between
// allocation and binding leaves such pods behind.
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
			return "", nil // several nodes match: the filters choose
		default:
			found = info.Node().Name
		}
	}
	return found, nil
}
