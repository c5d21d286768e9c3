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
// pods. The planner counts resources, devices and attached volumes without these pods, and
// the stock filters for all else run on the nodes without them.
type whatIf struct {
	gang    plan.Gang
	planner planner
	runs    *dryRuns
}

// plan returns the planner's decision about the gang. It returns an error if a filter
// failed other than by a refusal.
func (w *whatIf) plan(gang plan.Gang) (plan.Decision, error) {
	decision := w.planner.plan(gang).decision
	return decision, w.runs.err
}

// FitsWithout reports whether the gang of the request, all members without a node, would
// have a placement that the stock filters accept if the pods in gone did not exist.
func (p *Placer) FitsWithout(ctx context.Context, request gangs.Request, gone []*v1.Pod, nodes []fwk.NodeInfo) (bool, error) {
	w, err := p.newWhatIf(ctx, request, gone, nodes)
	if err != nil || w == nil {
		return false, err
	}
	decision, err := w.plan(w.gang)
	return decision.Placed, err
}

// NodesToReserve returns nodes on which the gang would have a placement that the stock
// filters accept if the pods of this scheduler on them did not exist. Besides the nodes
// without such pods it tries the 1, 2, 4, ... nodes with the fewest and stops at the first
// success, so few nodes must be cleared. It returns nil if it finds no placement.
func (p *Placer) NodesToReserve(ctx context.Context, request gangs.Request, nodes []fwk.NodeInfo) (map[string]bool, error) {
	busy, gone := podsOfScheduler(p.handle.ProfileName(), nodes)
	w, err := p.newWhatIf(ctx, request, gone, nodes)
	if err != nil || w == nil {
		return nil, err
	}
	decision, err := w.plan(w.gang)
	if err != nil || !decision.Placed {
		return nil, err
	}
	for cleared := 1; cleared < len(busy); cleared *= 2 {
		fewer, err := w.plan(withoutNodes(w.gang, busy[cleared:], everyRole))
		if err != nil {
			return nil, err
		}
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
func (p *Placer) newWhatIf(ctx context.Context, request gangs.Request, gone []*v1.Pod, nodes []fwk.NodeInfo) (*whatIf, error) {
	cache, err := p.profile.CacheWithLabels(request.Gang.Labels(), len(request.Gang.Groups) > 0, nodes)
	if err != nil {
		return nil, err
	}
	other, infos, err := cache.Without(nodes, gone)
	if err != nil {
		return nil, err
	}
	request.Placed, request.Limits, request.Conflicts = nil, nil, nil
	input, refusal := build(&request, other, infos, infos, objects{withoutAttachments(p.options.Volumes), p.options.Namespaces})
	if refusal != nil {
		return nil, nil
	}
	snapshot, err := other.Refresh(infos, request.Holds)
	if err != nil {
		return nil, err
	}
	runs := newDryRuns(ctx, p.handle, input)
	for _, run := range runs.roles {
		run.pod = withoutNode(run.pod)
	}
	if runs.emptied, err = newEmptied(infos, gone); err != nil {
		return nil, err
	}
	return &whatIf{gang: input.planGang(), planner: p.newPlanner(snapshot, runs.fits), runs: runs}, nil
}

// withoutNode returns the pod, or a copy without its node if it has one: a filter keeps a
// bound pod on its node.
func withoutNode(pod *v1.Pod) *v1.Pod {
	if pod.Spec.NodeName == "" {
		return pod
	}
	other := *pod
	other.Spec.NodeName = ""
	return &other
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
