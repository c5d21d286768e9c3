// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"context"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// whatIf plans a gang, as if none of its members had a node, in the cluster without some
// pods. Its result shows only whether a placement would exist. The stock filters do not
// run, because they read the cluster as it is.
type whatIf struct {
	gang    plan.Gang
	planner planner
}

// FitsWithout reports whether the gang of the request, all members without a node, would
// have a placement if the pods in gone did not exist. The stock filters do not run.
func (p *Placer) FitsWithout(_ context.Context, request gangs.Request, gone []*v1.Pod, nodes []fwk.NodeInfo) (bool, error) {
	w, err := p.newWhatIf(request, gone, nodes)
	if err != nil || w == nil {
		return false, err
	}
	return w.planner.plan(w.gang).decision.Placed, nil
}

// NodesToReserve returns nodes on which the gang would have a placement if the pods of
// this scheduler on them did not exist. It tries the 1, 2, 4, ... nodes with the fewest
// such pods and stops at the first success, so few nodes must be cleared. It returns nil
// if it finds no placement.
func (p *Placer) NodesToReserve(_ context.Context, request gangs.Request, nodes []fwk.NodeInfo) (map[string]bool, error) {
	busy, gone := podsOfScheduler(p.handle.ProfileName(), nodes)
	w, err := p.newWhatIf(request, gone, nodes)
	if err != nil || w == nil {
		return nil, err
	}
	decision := w.planner.plan(w.gang).decision
	if !decision.Placed {
		return nil, nil
	}
	for cleared := 1; cleared < len(busy); cleared *= 2 {
		fewer := w.planner.plan(withoutNodes(w.gang, busy[cleared:], everyRole)).decision
		if fewer.Placed {
			decision = fewer
			break
		}
	}
	found := map[string]bool{}
	for _, a := range decision.Assignments {
		found[a.Node] = true
	}
	return found, nil
}

// newWhatIf returns the plan of a gang in a cluster without the pods in gone. It returns
// nil if the request cannot be converted to the planner's input.
func (p *Placer) newWhatIf(request gangs.Request, gone []*v1.Pod, nodes []fwk.NodeInfo) (*whatIf, error) {
	cache, err := p.profile.CacheWithLabels(request.Gang.Labels(), len(request.Gang.Groups) > 0, nodes)
	if err != nil {
		return nil, err
	}
	other, infos, err := cache.Without(nodes, gone)
	if err != nil {
		return nil, err
	}
	request.Placed, request.Limits, request.Conflicts = nil, nil, nil
	input, refusal := build(&request, other, infos, infos, withoutAttachments(p.options.Volumes))
	if refusal != nil {
		return nil, nil
	}
	snapshot, err := other.Refresh(infos, request.Holds)
	if err != nil {
		return nil, err
	}
	byName := map[string]*v1.Node{}
	for _, info := range infos {
		if node := info.Node(); node != nil {
			byName[node.Name] = node
		}
	}
	eligible := func(role int, node string, _ int) bool { return NodeEligible(input.roles[role].sample, byName[node]) }
	return &whatIf{gang: input.planGang(), planner: p.newPlanner(snapshot, eligible)}, nil
}

// podsOfScheduler returns the pods of the scheduler that are on nodes, and the names of
// these nodes. Nodes with the fewest such pods come first, then by name.
func podsOfScheduler(name string, nodes []fwk.NodeInfo) (busy []string, pods []*v1.Pod) {
	count := map[string]int{}
	for _, info := range nodes {
		for _, added := range info.GetPods() {
			if pod := added.GetPod(); pod.Spec.SchedulerName == name {
				pods = append(pods, pod)
				count[info.Node().Name]++
			}
		}
	}
	busy = slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(count[a]-count[b], cmp.Compare(a, b))
	})
	return busy, pods
}

// detached reads storage objects as Volumes does, but hides all VolumeAttachments.
type detached struct{ Volumes }

// withoutAttachments returns the storage objects as they are once the volumes of deleted
// pods are detached: without VolumeAttachments.
func withoutAttachments(volumes Volumes) Volumes {
	if volumes == nil {
		return nil
	}
	return detached{volumes}
}

// ListAttachments returns no attachments.
func (detached) ListAttachments() ([]*storagev1.VolumeAttachment, error) { return nil, nil }
