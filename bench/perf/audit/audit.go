// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingapi "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/types"
	resourcehelper "k8s.io/component-helpers/resource"
)

// Rules are the checks that apply to one scheduler and one workload.
type Rules struct {
	// AllBound is true if the workload waits until every pod has a node.
	AllBound bool
	// NoDeletions is true if no client deletes pods. Each gang must then have nodes for its
	// quorum or for none of its pods.
	NoDeletions bool
	// Labelled is true if the scheduler supports gangs by Dovetail's label.
	Labelled bool
}

// Auditor collects objects in any order and then reports problems.
type Auditor struct {
	rules   Rules
	nodes   map[string]*v1.Node
	loads   map[string]*load
	gangs   map[gangKey]*gang
	placed  map[types.UID]string
	unbound []string
	devices map[device][]string
	claims  []claim
}

// load is the sum of the requests on a node, in thousandths of a unit.
type load struct {
	requests map[v1.ResourceName]int64
	pods     int64
}

type device struct{ driver, pool, name string }

// claim is an allocated ResourceClaim.
type claim struct {
	name     string
	selector *v1.NodeSelector
	holders  []types.UID
}

// New returns an auditor without objects.
func New(rules Rules) *Auditor {
	return &Auditor{
		rules: rules, nodes: map[string]*v1.Node{}, loads: map[string]*load{}, gangs: map[gangKey]*gang{},
		placed: map[types.UID]string{}, devices: map[device][]string{},
	}
}

// Node adds a node.
func (a *Auditor) Node(node *v1.Node) {
	a.nodes[node.Name] = &v1.Node{ObjectMeta: node.ObjectMeta, Status: v1.NodeStatus{Allocatable: node.Status.Allocatable}}
	a.nodes[node.Name].ManagedFields = nil
}

// Pod adds a pod.
func (a *Auditor) Pod(pod *v1.Pod) {
	if pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed {
		return
	}
	a.member(pod)
	node := pod.Spec.NodeName
	if node == "" {
		a.unbound = append(a.unbound, pod.Namespace+"/"+pod.Name)
		return
	}
	a.placed[pod.UID] = node
	if a.loads[node] == nil {
		a.loads[node] = &load{requests: map[v1.ResourceName]int64{}}
	}
	a.loads[node].pods++
	for name, quantity := range resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{}) {
		a.loads[node].requests[name] += quantity.MilliValue()
	}
}

// Group adds a PodGroup.
func (a *Auditor) Group(group *schedulingapi.PodGroup) {
	g := a.gang(gangKey{podGroup, group.Namespace, group.Name})
	if gang := group.Spec.SchedulingPolicy.Gang; gang != nil {
		g.min = int(gang.MinCount)
	}
	if constraints := group.Spec.SchedulingConstraints; constraints != nil && len(constraints.Topology) > 0 {
		g.label = constraints.Topology[0].Key
	}
}

// Claim adds a claim.
func (a *Auditor) Claim(c *resourceapi.ResourceClaim) {
	if c.Status.Allocation == nil {
		return
	}
	allocated := claim{name: c.Namespace + "/" + c.Name, selector: c.Status.Allocation.NodeSelector}
	for _, holder := range c.Status.ReservedFor {
		allocated.holders = append(allocated.holders, holder.UID)
	}
	a.claims = append(a.claims, allocated)
	for _, result := range c.Status.Allocation.Devices.Results {
		if result.ShareID == nil && (result.AdminAccess == nil || !*result.AdminAccess) {
			id := device{result.Driver, result.Pool, result.Device}
			a.devices[id] = append(a.devices[id], allocated.name)
		}
	}
}

// Problems returns a sentence for each broken rule, sorted by rule and object.
func (a *Auditor) Problems() []string {
	var found []string
	if n := len(a.unbound); n > 0 && a.rules.AllBound {
		slices.Sort(a.unbound)
		found = append(found, fmt.Sprintf("%d pods have no node, the first is %s", n, a.unbound[0]))
	}
	found = append(found, a.overcommittedNodes()...)
	found = append(found, a.doubleAllocations()...)
	found = append(found, a.claimsOffNode()...)
	return append(found, a.brokenGangs()...)
}

func (a *Auditor) overcommittedNodes() []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(a.loads)) {
		node, load := a.nodes[name], a.loads[name]
		if node == nil {
			found = append(found, fmt.Sprintf("node %s does not exist and has %d pods", name, load.pods))
			continue
		}
		load.requests[v1.ResourcePods] = load.pods * 1000
		for _, resource := range slices.Sorted(maps.Keys(load.requests)) {
			// A resource that the node does not list comes from DRA devices.
			if has, named := node.Status.Allocatable[resource]; named && load.requests[resource] > has.MilliValue() {
				found = append(found, fmt.Sprintf("node %s has %s %s, its pods ask for %g", name, has.String(), resource, float64(load.requests[resource])/1000))
			}
		}
	}
	return found
}

// doubleAllocations returns the devices that are allocated to several claims.
func (a *Auditor) doubleAllocations() []string {
	var found []string
	for id, claims := range a.devices {
		if len(claims) > 1 {
			slices.Sort(claims)
			found = append(found, fmt.Sprintf("device %s/%s/%s is allocated to claims %v", id.driver, id.pool, id.name, claims))
		}
	}
	slices.Sort(found)
	return found
}
