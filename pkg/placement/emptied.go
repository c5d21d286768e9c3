// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// emptied is the cluster without some pods, for the stock filters of a what-if plan (a plan
// as if these pods did not exist).
//
// PreFilter plugins read the scheduler's snapshot, which has all pods. As in preemption, the
// plugins then remove the pods from the state that they prepared
// (RunPreFilterExtensionRemovePod), and the Filter plugins get the nodes without them.
type emptied struct {
	// infos are the nodes without the pods, by name; gone are the pods by node. A node that is
	// not in infos has none of the pods.
	infos map[string]fwk.NodeInfo
	gone  map[string][]fwk.PodInfo
}

// unprovable are the filters that a what-if plan cannot run, because they read objects that
// change only when pods are really gone: the allocations of ResourceClaims (DRAAware wraps
// DynamicResources), and VolumeAttachments. The planner itself counts devices and attached
// volumes without the pods.
var unprovable = sets.New("DynamicResources", "DRAAware", "NodeVolumeLimits")

// newEmptied returns the cluster with the nodes in infos, which no longer have the pods in
// gone.
func newEmptied(infos []fwk.NodeInfo, gone []*v1.Pod) (*emptied, error) {
	e := &emptied{infos: make(map[string]fwk.NodeInfo, len(infos)), gone: map[string][]fwk.PodInfo{}}
	for _, info := range infos {
		if node := info.Node(); node != nil {
			e.infos[node.Name] = info
		}
	}
	for _, pod := range gone {
		info, err := framework.NewPodInfo(pod)
		if err != nil {
			return nil, fmt.Errorf("imagining the cluster without pod %s: %w", klog.KObj(pod), err)
		}
		e.gone[pod.Spec.NodeName] = append(e.gone[pod.Spec.NodeName], info)
	}
	return e, nil
}

// nodeInfo returns a node with its pods, in a what-if plan without those that are gone. It
// returns nil if the node is unknown.
func (d *dryRuns) nodeInfo(node string) fwk.NodeInfo {
	if d.emptied != nil {
		if info := d.emptied.infos[node]; info != nil {
			return info
		}
	}
	info, err := d.handle.SnapshotSharedLister().NodeInfos().Get(node)
	if err != nil {
		return nil
	}
	return info
}

// removeGone removes the pods that are gone in a what-if plan from a prepared state of a pod:
// those on the given node if the state is for that node only, all of them if node is "".
func (d *dryRuns) removeGone(pod *v1.Pod, state fwk.CycleState, node string) error {
	if d.emptied == nil {
		return nil
	}
	skipUnprovable(state)
	for name, pods := range d.emptied.gone {
		info := d.emptied.infos[name]
		if info == nil || node != "" && node != name {
			continue
		}
		if err := d.removePods(pod, state, info, pods); err != nil {
			return err
		}
	}
	return nil
}

func skipUnprovable(state fwk.CycleState) {
	state.SetSkipFilterPlugins(unprovable.Union(state.GetSkipFilterPlugins()))
}

// removePods removes pods of a node from a prepared state. info is the node without them.
func (d *dryRuns) removePods(pod *v1.Pod, state fwk.CycleState, info fwk.NodeInfo, gone []fwk.PodInfo) error {
	for _, other := range gone {
		if status := d.handle.RunPreFilterExtensionRemovePod(d.ctx, state, pod, other, info); !status.IsSuccess() {
			return fmt.Errorf("imagining node %s without pod %s: %w", info.Node().Name, klog.KObj(other.GetPod()), status.AsError())
		}
	}
	return nil
}
