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

// Rules are what holds for one scheduler and one workload.
type Rules struct {
	// AllBound says that the workload waits until every pod has a node.
	AllBound bool
	// Whole says that nobody takes pods away, so that a gang is never seen broken up.
	Whole bool
	// Labelled says that the scheduler knows the gangs of Dovetail's label.
	Labelled bool
}

// Auditor is told what exists, in any order, and then asked for problems.
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

// load is what the pods of a node ask for, in thousandths.
type load struct {
	requests map[v1.ResourceName]int64
	pods     int64
}

type device struct{ driver, pool, name string }

// claim is one that is allocated.
type claim struct {
	name     string
	selector *v1.NodeSelector
	holders  []types.UID
}

// New returns an auditor who knows of nothing yet.
func New(rules Rules) *Auditor {
	return &Auditor{
		rules: rules, nodes: map[string]*v1.Node{}, loads: map[string]*load{}, gangs: map[gangKey]*gang{},
		placed: map[types.UID]string{}, devices: map[device][]string{},
	}
}

// Node tells of a node.
func (a *Auditor) Node(node *v1.Node) {
	a.nodes[node.Name] = &v1.Node{ObjectMeta: node.ObjectMeta, Status: v1.NodeStatus{Allocatable: node.Status.Allocatable}}
	a.nodes[node.Name].ManagedFields = nil
}

// Pod tells of a pod.
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

// Group tells of a PodGroup.
func (a *Auditor) Group(group *schedulingapi.PodGroup) {
	g := a.gang(gangKey{nativeGang, group.Namespace, group.Name})
	if gang := group.Spec.SchedulingPolicy.Gang; gang != nil {
		g.least = int(gang.MinCount)
	}
	if constraints := group.Spec.SchedulingConstraints; constraints != nil && len(constraints.Topology) > 0 {
		g.label = constraints.Topology[0].Key
	}
}

// Claim tells of a claim.
func (a *Auditor) Claim(c *resourceapi.ResourceClaim) {
	if c.Status.Allocation == nil {
		return
	}
	one := claim{name: c.Namespace + "/" + c.Name, selector: c.Status.Allocation.NodeSelector}
	for _, holder := range c.Status.ReservedFor {
		one.holders = append(one.holders, holder.UID)
	}
	a.claims = append(a.claims, one)
	for _, result := range c.Status.Allocation.Devices.Results {
		if result.ShareID == nil && (result.AdminAccess == nil || !*result.AdminAccess) {
			id := device{result.Driver, result.Pool, result.Device}
			a.devices[id] = append(a.devices[id], one.name)
		}
	}
}

// Problems are sentences about what must not be, sorted by what they are about.
func (a *Auditor) Problems() []string {
	var found []string
	if n := len(a.unbound); n > 0 && a.rules.AllBound {
		slices.Sort(a.unbound)
		found = append(found, fmt.Sprintf("%d pods have no node, the first is %s", n, a.unbound[0]))
	}
	found = append(found, a.overcommitted()...)
	found = append(found, a.doubles()...)
	found = append(found, a.strays()...)
	return append(found, a.brokenGangs()...)
}

func (a *Auditor) overcommitted() []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(a.loads)) {
		node, load := a.nodes[name], a.loads[name]
		if node == nil {
			found = append(found, fmt.Sprintf("node %s does not exist and has %d pods", name, load.pods))
			continue
		}
		load.requests[v1.ResourcePods] = load.pods * 1000
		for _, resource := range slices.Sorted(maps.Keys(load.requests)) {
			// What a node does not name comes from its devices.
			if has, named := node.Status.Allocatable[resource]; named && load.requests[resource] > has.MilliValue() {
				found = append(found, fmt.Sprintf("node %s has %s %s, its pods ask for %g", name, has.String(), resource, float64(load.requests[resource])/1000))
			}
		}
	}
	return found
}

// doubles are devices that stand in the allocations of several claims.
func (a *Auditor) doubles() []string {
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
