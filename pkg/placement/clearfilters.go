// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/evict"
)

// clearFilters runs the stock filters for the roles of a gang while some units (sets of running
// pods) are gone.
//
// The PreFilter plugins run on the cluster as it is. Then the pods that are gone are removed
// from the prepared state, as in preemption: those on the node, and those that may be felt from
// other nodes. The latter are the pods with required anti-affinity and, for members with
// affinity or spread constraints, all pods.
type clearFilters struct {
	runs *dryRuns
	// onNode has the pods of units on each node. farFelt has those with required anti-affinity,
	// all those on any node.
	onNode       map[string][]unitPod
	farFelt, all []unitPod
	// cleared has, by role, the state for the last set of gone units without all their pods. It
	// is used for members that read other nodes.
	cleared map[int]clearedState
}

// unitPod is a pod of a unit.
type unitPod struct {
	unit int
	info fwk.PodInfo
	node fwk.NodeInfo
}

// clearedState is a state without all pods of some units.
type clearedState struct {
	gone  []int
	state fwk.CycleState
}

func newClearFilters(runs *dryRuns, units *evict.Units) *clearFilters {
	f := &clearFilters{runs: runs, onNode: map[string][]unitPod{}, cleared: map[int]clearedState{}}
	for i := range units.List {
		for _, pod := range units.List[i].Pods {
			p := unitPod{unit: i, info: pod.Info, node: pod.Node}
			name := pod.Node.Node().Name
			f.onNode[name] = append(f.onNode[name], p)
			f.all = append(f.all, p)
			if len(pod.Info.GetRequiredAntiAffinityTerms()) > 0 {
				f.farFelt = append(f.farFelt, p)
			}
		}
	}
	return f
}

// fits reports whether the filters accept one more member of the role on the node while the
// units in gone (ascending indices) are gone. already is how many members of the role the plan
// has put there before.
func (f *clearFilters) fits(gone []int, role int, node string, already int) bool {
	run := f.runs.roles[role]
	return f.runs.fitsAfter(run, node, already, func(state fwk.CycleState, info fwk.NodeInfo) (fwk.CycleState, fwk.NodeInfo, error) {
		return f.without(gone, role, run.pod, state, info)
	})
}

// without returns the filters' state and the node without the pods of the units in gone.
func (f *clearFilters) without(gone []int, role int, pod *v1.Pod, base fwk.CycleState, info fwk.NodeInfo) (fwk.CycleState, fwk.NodeInfo, error) {
	name := info.Node().Name
	here := among(f.onNode[name], gone)
	if len(here) > 0 {
		isGone := func(other *v1.Pod) bool {
			return slices.ContainsFunc(here, func(p unitPod) bool { return p.info.GetPod().UID == other.UID })
		}
		info = nodeWithout(info, isGone)
	}
	if readsOtherNodes(pod) {
		state, err := f.clearedState(gone, role, pod, base)
		return state, info, err
	}
	state := base.Clone()
	skipUnprovable(state)
	for _, p := range here {
		if err := f.runs.removePods(pod, state, info, []fwk.PodInfo{p.info}); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range among(f.farFelt, gone) {
		if p.node.Node().Name == name {
			continue
		}
		if err := f.runs.removePods(pod, state, p.node, []fwk.PodInfo{p.info}); err != nil {
			return nil, nil, err
		}
	}
	return state, info, nil
}

// clearedState returns the state for a role without all pods of the units in gone.
func (f *clearFilters) clearedState(gone []int, role int, pod *v1.Pod, base fwk.CycleState) (fwk.CycleState, error) {
	if last, ok := f.cleared[role]; ok && slices.Equal(last.gone, gone) {
		return last.state, nil
	}
	state := base.Clone()
	skipUnprovable(state)
	for _, p := range among(f.all, gone) {
		if err := f.runs.removePods(pod, state, p.node, []fwk.PodInfo{p.info}); err != nil {
			return nil, err
		}
	}
	f.cleared[role] = clearedState{gone: slices.Clone(gone), state: state}
	return state, nil
}

// among returns the pods of the units in gone, which is ascending.
func among(pods []unitPod, gone []int) []unitPod {
	var out []unitPod
	for _, p := range pods {
		if _, is := slices.BinarySearch(gone, p.unit); is {
			out = append(out, p)
		}
	}
	return out
}

// emptied returns the cluster without the pods of the units in gone.
func (f *clearFilters) emptied(gone []int) *emptied {
	e := &emptied{infos: map[string]fwk.NodeInfo{}, gone: map[string][]fwk.PodInfo{}}
	left := map[string]fwk.NodeInfo{}
	for _, p := range among(f.all, gone) {
		name := p.node.Node().Name
		e.gone[name] = append(e.gone[name], p.info)
		left[name] = p.node
	}
	for name, info := range left {
		e.infos[name] = nodeWithout(info, func(pod *v1.Pod) bool {
			return slices.ContainsFunc(e.gone[name], func(p fwk.PodInfo) bool { return p.GetPod().UID == pod.UID })
		})
	}
	return e
}
