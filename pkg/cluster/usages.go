// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"errors"
	"slices"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// RunningPod is a pod on a node of the scheduler's snapshot.
type RunningPod struct {
	Info fwk.PodInfo
	Node fwk.NodeInfo
}

// Usages is what sets of running pods use of their nodes.
type Usages struct {
	// Sets has what the pods of each set use alone. Devices is the number of devices among it.
	Sets    [][]plan.Usage
	Devices []int
	// Shared has the devices of claims that pods of several sets use.
	Shared []SharedUsage
	// Idle has the devices of allocated claims of which no user exists any more. A controller
	// will free them.
	Idle []plan.Usage
}

// SharedUsage has the devices of a claim, and the indices of the sets with the claim's users,
// ascending. The devices are free once all these sets have left.
type SharedUsage struct {
	Claim types.NamespacedName
	Sets  []int
	Uses  []plan.Usage
}

// ErrOutdated is returned if devices of another kind appeared while running pods were read. The
// next plan reads them anew.
var ErrOutdated = errors.New("the device counts changed while running pods were read")

// Usages returns what sets of running pods use of their nodes, by the indices of the last Read.
// A claim with a user that is in no set stays allocated and is left out. exists reports whether
// a pod exists.
func (s *Cache) Usages(sets [][]RunningPod, exists func(namespace, name string, uid types.UID) bool) (Usages, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Usages{Sets: make([][]plan.Usage, len(sets)), Devices: make([]int, len(sets))}
	for i := range sets {
		out.Sets[i] = s.resourceUsages(sets[i])
	}
	if s.devices == nil || s.view == nil {
		return out, nil
	}
	r := s.devices.releasesOf(sets, exists)
	freed, ok := s.devices.inventory.Freed(s.view, r.releases)
	if !ok {
		return Usages{}, ErrOutdated
	}
	for i := range r.releases {
		uses := s.deviceUsages(r.releases[i].Node, &freed[i])
		switch to := r.to[i]; {
		case to == idleRelease:
			out.Idle = append(out.Idle, uses...)
		case to < len(sets):
			out.Sets[to] = append(out.Sets[to], uses...)
			for _, a := range r.releases[i].Allocations {
				out.Devices[to] += len(a.Result.Devices.Results)
			}
		default:
			r.shared[to-len(sets)].Uses = uses
		}
	}
	out.Shared = r.shared
	return out, nil
}

// resourceUsages returns the resources of pods, those of device plugins included, by node.
func (s *Cache) resourceUsages(pods []RunningPod) []plan.Usage {
	var out []plan.Usage
	index := map[string]int{}
	for i := range pods {
		node := pods[i].Node
		name := nodeNameOf(node)
		at, known := index[name]
		if !known {
			at = len(out)
			index[name] = at
			out = append(out, plan.Usage{Node: name, Resources: make([]int64, len(s.layout.Resources))})
		}
		s.addResources(&out[at], pods[i].Info, node)
	}
	return out
}

func (s *Cache) addResources(usage *plan.Usage, info fwk.PodInfo, node fwk.NodeInfo) {
	requested := info.CalculateResource().Resource
	into := usage.Resources
	into[s.resource[v1.ResourceCPU]] += requested.GetMilliCPU()
	into[s.resource[v1.ResourceMemory]] += requested.GetMemory()
	into[s.resource[v1.ResourceEphemeralStorage]] += requested.GetEphemeralStorage()
	into[s.resource[v1.ResourcePods]]++
	scalars := requested.GetScalarResources()
	if len(scalars) == 0 {
		return
	}
	allocatable := node.GetAllocatable().GetScalarResources()
	for name, amount := range scalars {
		if _, has := allocatable[name]; !has || amount == 0 {
			continue // devices of the node serve it
		}
		if i, known := s.resource[name]; known {
			into[i] += amount
		}
		if s.view != nil {
			s.addPluginDevices(usage, name, amount)
		}
	}
}

// addPluginDevices counts an extended resource of a device plugin as devices of the node's last
// alignment unit, as View.Node does.
func (s *Cache) addPluginDevices(usage *plan.Usage, name v1.ResourceName, amount int64) {
	kind, planned := s.view.PluginKind(name)
	if !planned {
		return
	}
	last := s.view.UnitCount(usage.Node) - 1
	for len(usage.Units) <= last {
		usage.Units = append(usage.Units, plan.Unit{Free: make([]int, len(s.layout.Kinds))})
	}
	usage.Units[last].Free[s.kind[s.view.Kinds[kind].Name]] += int(amount)
}

// deviceUsages converts what a release makes free to a usage of its node, none if it frees
// nothing.
func (s *Cache) deviceUsages(node string, freed *devices.Freed) []plan.Usage {
	usage := plan.Usage{Node: node}
	found := false
	for _, counts := range freed.Units {
		unit := plan.Unit{Free: make([]int, len(s.layout.Kinds))}
		for kind, n := range counts {
			unit.Free[s.kind[s.view.Kinds[kind].Name]] = n
			found = found || n > 0
		}
		usage.Units = append(usage.Units, unit)
	}
	for i, n := range freed.PodLimits {
		if n == 0 {
			continue
		}
		at := s.resource[podLimitResource(s.view.PodLimits[i])]
		usage.Resources = append(usage.Resources, make([]int64, max(0, at+1-len(usage.Resources)))...)
		usage.Resources[at], found = int64(n), true
	}
	if !found {
		return nil
	}
	return []plan.Usage{usage}
}

// idleRelease stands for the claims that no existing pod uses.
const idleRelease = -1

// releases has the claims that sets of pods free.
type releases struct {
	releases []devices.Release
	// to has, for each release, the index of its set, idleRelease, or the number of sets plus
	// an index in shared.
	to     []int
	shared []SharedUsage
}

// claimUse is an allocated claim, and the sets of its users.
type claimUse struct {
	allocation devices.Allocation
	name       types.NamespacedName
	node       string
	sets       []int
	stays      bool
}

// releasesOf returns the claims that the sets free, one release for each set and node.
func (d *Devices) releasesOf(sets [][]RunningPod, exists func(namespace, name string, uid types.UID) bool) releases {
	of := map[types.UID]int{}
	for i := range sets {
		for k := range sets[i] {
			of[sets[i][k].Info.GetPod().UID] = i
		}
	}
	var r releases
	type place struct {
		to   int
		node string
	}
	index := map[place]int{}
	add := func(to int, use *claimUse) {
		key := place{to, use.node}
		at, known := index[key]
		if !known {
			at = len(r.releases)
			index[key] = at
			r.releases, r.to = append(r.releases, devices.Release{Node: use.node}), append(r.to, to)
		}
		r.releases[at].Allocations = append(r.releases[at].Allocations, use.allocation)
	}
	uses := d.claimUses(of, exists)
	slices.SortFunc(uses, func(a, b claimUse) int { return cmp.Compare(a.name.String(), b.name.String()) })
	for pass := range 2 { // shared claims last: they free devices only after their users have left
		for i := range uses {
			use := &uses[i]
			switch {
			case len(use.sets) > 1 && pass == 1:
				r.shared = append(r.shared, SharedUsage{Claim: use.name, Sets: use.sets})
				add(len(sets)+len(r.shared)-1, use)
			case len(use.sets) == 1 && pass == 0:
				add(use.sets[0], use)
			case len(use.sets) == 0 && pass == 0:
				add(idleRelease, use)
			}
		}
	}
	return r
}

// claimUses returns the allocated claims whose users are all in sets, or do not exist any more.
// of has the set of each pod.
func (d *Devices) claimUses(of map[types.UID]int, exists func(namespace, name string, uid types.UID) bool) []claimUse {
	claims, err := d.manager.ResourceClaims().List()
	if err != nil {
		return nil
	}
	var out []claimUse
	for _, claim := range claims {
		allocation := claim.Status.Allocation
		if allocation == nil {
			continue
		}
		use := claimUse{
			allocation: devices.Allocation{Claim: claim.UID, Result: allocation},
			name:       types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}, node: allocatedNode(allocation),
		}
		for _, user := range claim.Status.ReservedFor {
			set, leaves := of[user.UID]
			switch {
			case leaves && !slices.Contains(use.sets, set):
				use.sets = append(use.sets, set)
			case !leaves && (user.Resource != "pods" || exists(claim.Namespace, user.Name, user.UID)):
				use.stays = true
			}
		}
		if use.stays || use.node == "" {
			continue
		}
		slices.Sort(use.sets)
		out = append(out, use)
	}
	return out
}

// allocatedNode returns the only node that can use an allocation, "" if there may be several.
func allocatedNode(allocation *resourceapi.AllocationResult) string {
	if allocation.NodeSelector == nil || len(allocation.NodeSelector.NodeSelectorTerms) != 1 {
		return ""
	}
	for _, field := range allocation.NodeSelector.NodeSelectorTerms[0].MatchFields {
		if field.Key == "metadata.name" && field.Operator == v1.NodeSelectorOpIn && len(field.Values) == 1 {
			return field.Values[0]
		}
	}
	return ""
}
