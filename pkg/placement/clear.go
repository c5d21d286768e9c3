// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/evict"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Room is the placement of a gang without some running pods.
type Room struct {
	// Placed is true if the gang has a placement without the victims (the pods to evict) and
	// without the pods that are leaving already. Assignment is this placement.
	Placed     bool
	Assignment gangs.Assignment
	// Victims are the pods to evict. Awaited are the pods that are leaving already, on nodes of
	// the placement.
	Victims []Victim
	Awaited []*v1.Pod
	// Proven is true if no cheaper victims exist.
	Proven bool
	// Refusal explains why evictions do not help.
	Refusal string
}

// Victim is a unit to evict, with the number of devices that only its pods use.
type Victim struct {
	evict.Unit
	Devices int
}

// maxClearings is the number of searches for the victims of one gang. Another search follows if
// PodDisruptionBudgets do not allow to evict all victims together, or if the filters refuse the
// placement of all members together.
const maxClearings = 6

// Clear searches for the running pods whose eviction costs least and makes room for the gang of
// the request. Nothing is evicted. The units are those that may leave; Clear moves units to
// Units.Protected if their PodDisruptionBudgets do not allow to evict all of them. exists
// reports whether a pod exists.
func (p *Placer) Clear(ctx context.Context, request gangs.Request, units *evict.Units, nodes []fwk.NodeInfo,
	exists func(namespace, name string, uid types.UID) bool,
) (Room, error) {
	var conflicts []plan.Conflict
	for range maxClearings {
		search, err := p.newClearSearch(ctx, request, units, nodes, exists)
		if err != nil || search == nil {
			return Room{}, err
		}
		search.input.gang.Conflicts = append(search.input.gang.Conflicts, conflicts...)
		found, err := search.run()
		if err != nil || !found.decision.Placed {
			return Room{Refusal: search.refusal(&found)}, err
		}
		if budget, over := units.Overdrawn(search.victims(&found)); budget != nil {
			units.Protect(over, "is protected by PodDisruptionBudget "+budget.Name)
			continue
		}
		learned, refused, err := search.prove(&found)
		if err != nil {
			return Room{}, err
		}
		if !refused {
			return search.room(&found), nil
		}
		if len(learned) == 0 {
			break
		}
		conflicts = append(conflicts, learned...)
	}
	return Room{Refusal: "the search for pods to evict gave up, because the filters or PodDisruptionBudgets refused what it found"}, nil
}

// clearSearch is one search for the victims of a gang.
type clearSearch struct {
	placer    *Placer
	cache     *cluster.Cache
	request   *gangs.Request
	units     *evict.Units
	nodes     []fwk.NodeInfo
	input     *planInput
	snapshot  *plan.Snapshot
	occupants []plan.Occupant
	devices   []int
	filters   *clearFilters
}

// clearAnswer is the planner's answer, with the gang that it was given.
type clearAnswer struct {
	answer
	plan.Clearing
}

// newClearSearch prepares a search. It returns nil if the gang cannot be converted to the
// planner's input, or if there are no units.
func (p *Placer) newClearSearch(ctx context.Context, request gangs.Request, units *evict.Units, nodes []fwk.NodeInfo,
	exists func(namespace, name string, uid types.UID) bool,
) (*clearSearch, error) {
	if len(units.List) == 0 {
		return nil, nil
	}
	cache, err := p.profile.CacheWithLabels(request.Gang.Labels(), len(request.Gang.Groups) > 0, nodes)
	if err != nil {
		return nil, err
	}
	request.Limits, request.Conflicts = nil, nil
	// The rules of the gang come from the nodes without all units: a rule may depend on pods
	// that may leave. The filters check these rules for each set of victims.
	infos := withoutUnits(nodes, units)
	input, refusal := build(&request, cache, infos, infos, objects{withoutAttachments(p.options.Volumes), p.options.Namespaces})
	if refusal != nil {
		return nil, nil
	}
	snapshot, err := cache.Refresh(nodes, request.Holds)
	if err != nil {
		return nil, err
	}
	s := &clearSearch{placer: p, cache: cache, request: &request, units: units, nodes: nodes, input: input, snapshot: snapshot}
	if err := s.readOccupants(exists); err != nil {
		return nil, err
	}
	s.filters = newClearFilters(newDryRuns(ctx, p.handle, input), units)
	return s, nil
}

// withoutUnits returns the nodes without the pods of all units.
func withoutUnits(nodes []fwk.NodeInfo, units *evict.Units) []fwk.NodeInfo {
	gone := map[types.UID]bool{}
	touched := map[string]bool{}
	for i := range units.List {
		for _, pod := range units.List[i].Pods {
			gone[pod.Info.GetPod().UID] = true
			touched[pod.Node.Node().Name] = true
		}
	}
	infos := make([]fwk.NodeInfo, len(nodes))
	for i, info := range nodes {
		infos[i] = info
		if info.Node() == nil || !touched[info.Node().Name] {
			continue
		}
		infos[i] = nodeWithout(info, func(pod *v1.Pod) bool { return gone[pod.UID] })
	}
	return infos
}

// nodeWithout returns a copy of a node without some of its pods.
func nodeWithout(info fwk.NodeInfo, gone func(*v1.Pod) bool) fwk.NodeInfo {
	left := framework.NewNodeInfo()
	left.SetNode(info.Node())
	for _, pod := range info.GetPods() {
		if !gone(pod.GetPod()) {
			left.AddPodInfo(pod)
		}
	}
	return left
}

// readOccupants converts the units, and the devices that pods of several units share, to
// occupants of the planner. The first occupants are the units, with the same indices.
func (s *clearSearch) readOccupants(exists func(namespace, name string, uid types.UID) bool) error {
	sets := make([][]cluster.RunningPod, len(s.units.List))
	for i := range s.units.List {
		sets[i] = s.units.List[i].Pods
	}
	usages, err := s.cache.Usages(sets, exists)
	if err != nil {
		return err
	}
	s.devices = usages.Devices
	for i := range s.units.List {
		unit := &s.units.List[i]
		s.occupants = append(s.occupants, plan.Occupant{
			Name: unit.Name, Breaches: unit.Breaches, Priority: int64(unit.Priority), Cost: costOf(unit, usages.Devices[i]),
			Uses: usages.Sets[i], After: unit.After, Leaving: unit.Leaving,
		})
	}
	for _, shared := range usages.Shared {
		o := plan.Occupant{Name: "claim " + shared.Claim.String(), Uses: shared.Uses}
		for _, set := range shared.Sets {
			o.After = append(o.After, s.units.List[set].Name)
		}
		s.occupants = append(s.occupants, o)
	}
	if len(usages.Idle) > 0 {
		s.occupants = append(s.occupants, plan.Occupant{Name: "claims without users", Uses: usages.Idle, Leaving: true})
	}
	return nil
}

// lossStep is the unit in which lost run time is counted.
const lossStep = time.Minute

// costOf returns the cost of evicting a unit, most important first: gangs that do not run any
// more, pods that nobody replaces, lost work (run time in minutes, times the number of devices),
// restarts and pods.
func costOf(unit *evict.Unit, devices int) []int64 {
	return []int64{unit.Broken, unit.Unowned, int64(unit.Lost/lossStep) * int64(max(1, devices)), unit.Restarts, int64(len(unit.Pods))}
}

// run searches for victims. If a shared claim has zones (sets of nodes that can use its
// devices), it searches in each zone and returns the cheapest victims.
func (s *clearSearch) run() (clearAnswer, error) {
	gang := s.input.planGang()
	if len(s.request.Reserved) > 0 {
		gang = withoutNodes(gang, slices.Collect(maps.Keys(s.request.Reserved)), everyRole)
	}
	zones := &s.input.zones
	if zones.claim == "" {
		found := s.clearAnyOrder(gang)
		return found, s.filters.runs.err
	}
	var best clearAnswer
	for i, zone := range zones.zones[:min(len(zones.zones), maxZones)] {
		outside, _, err := divide(zone, s.nodes)
		if err != nil {
			return clearAnswer{}, err
		}
		found := s.clearAnyOrder(withoutNodes(gang, outside, zones.roles.Has))
		if i == 0 || found.decision.Placed && (!best.decision.Placed || slices.Compare(found.Cost, best.Cost) < 0) {
			best = found
		}
	}
	return best, s.filters.runs.err
}

// clearAnyOrder searches for victims without which the members find their volumes in any order,
// and otherwise for victims without which they find them in some order (see planner.plan).
func (s *clearSearch) clearAnyOrder(gang plan.Gang) clearAnswer {
	found := s.clear(gang)
	if found.decision.Placed || !slices.ContainsFunc(gang.Pools, func(p plan.Pool) bool { return p.AnyOrder }) {
		return found
	}
	gang.Pools = slices.Clone(gang.Pools)
	for i := range gang.Pools {
		gang.Pools[i].AnyOrder = false
	}
	return s.clear(gang)
}

func (s *clearSearch) clear(gang plan.Gang) clearAnswer {
	options := plan.Options{Budget: s.placer.options.SearchBudget, Capacity: s.placer.capacity(s.cache)}
	clearing := plan.Clear(s.snapshot, gang, s.occupants, s.filters.fits, options)
	return clearAnswer{answer: answer{gang: gang, decision: clearing.Decision}, Clearing: clearing}
}

// victims returns the units to evict, as indices.
func (s *clearSearch) victims(found *clearAnswer) []int {
	return slices.DeleteFunc(slices.Clone(found.Victims), func(i int) bool { return i >= len(s.units.List) })
}

// prove runs the filters over the placement with all members placed and without the victims and
// the leaving pods. It returns what the planner must avoid, if the filters refuse a member.
func (s *clearSearch) prove(found *clearAnswer) (conflicts []plan.Conflict, refused bool, err error) {
	runs := newDryRuns(s.filters.runs.ctx, s.placer.handle, s.input)
	gone := s.victims(found)
	for i := range s.units.List {
		if s.units.List[i].Leaving {
			gone = append(gone, i)
		}
	}
	slices.Sort(gone)
	runs.emptied = s.filters.emptied(gone)
	proof := newProof(runs, s.input, s.nodes, s.placer.options.UnknownFilters != nil && s.placer.options.UnknownFilters())
	if proof == nil {
		return nil, false, nil
	}
	proof.steps = plan.DefaultBudget
	conflicts, err = proof.run(&found.decision)
	return conflicts, proof.refused, err
}

// room converts the planner's answer.
func (s *clearSearch) room(found *clearAnswer) Room {
	room := Room{Placed: true, Assignment: s.input.assignment(&found.answer), Proven: found.Proven}
	for _, i := range s.victims(found) {
		room.Victims = append(room.Victims, Victim{s.units.List[i], s.devices[i]})
	}
	for _, i := range found.Awaited {
		if i < len(s.units.List) {
			for _, pod := range s.units.List[i].Pods {
				room.Awaited = append(room.Awaited, pod.Info.GetPod())
			}
		}
	}
	return room
}

// refusal explains why no eviction helps.
func (s *clearSearch) refusal(found *clearAnswer) string {
	pods := 0
	for i := range s.units.List {
		pods += len(s.units.List[i].Pods)
	}
	decision := &found.decision
	if decision.Exhausted {
		return "the search ended before it was known whether evictions would help: raise searchBudget"
	}
	cluster.FormatAmounts(decision)
	s.input.dropRole(decision)
	why := strings.TrimPrefix(decision.Why(), s.request.Gang.Key.Messagef(""))
	without := "without the one pod of lower priority"
	if pods != 1 {
		without = "without all " + plan.Count(pods, "pod") + " of lower priority"
	}
	return "no room even " + without + ": " + why
}
