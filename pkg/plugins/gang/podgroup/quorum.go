// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/gangscheduling"
)

// pluginName is the plugin that waiting pods and refused groups are attributed to.
const pluginName = "Gang"

// quorum is the part of the in-tree plugin GangScheduling that counts the members of
// PodGroups of scheduling.k8s.io.
type quorum interface {
	fwk.PreEnqueuePlugin
	fwk.EnqueueExtensions
	fwk.PermitPlugin
}

// newQuorum makes the in-tree GangScheduling plugin for use inside the plugins Gang, in Permit,
// and GangGate, which keeps pods out of the queue in PreEnqueue. GangScheduling lets the
// members of a PodGroup of scheduling.k8s.io into the queue and through Permit once there are
// enough of them. The shipped configuration disables it as a plugin of its own.
//
// With the scheduler's handle, GangScheduling makes the queue look for the missing members in
// Permit whenever another member arrives there. For a group of a thousand these are half a
// million look-ups in scheduling cycles, of which the scheduler runs one at a time. They are
// unnecessary, because the PodGroup cycle contains all members; quorumHandle avoids them.
func newQuorum(ctx context.Context, handle fwk.Handle) (quorum, error) {
	features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	inner, err := gangscheduling.New(ctx, nil, quorumHandle{handle}, features)
	if err != nil {
		return nil, fmt.Errorf("making the in-tree plugin %s: %w", gangscheduling.Name, err)
	}
	q, ok := inner.(quorum)
	if !ok {
		return nil, fmt.Errorf("the in-tree plugin %s is a %T, which does not count a quorum", gangscheduling.Name, inner)
	}
	return q, nil
}

// quorumHandle is the framework handle of the in-tree plugin.
type quorumHandle struct{ fwk.Handle }

// Activate does nothing: the PodGroup cycle contains all members.
func (quorumHandle) Activate(klog.Logger, map[string]*v1.Pod) {}

// PodGroupManager returns a manager whose groups list no unscheduled pods. The in-tree
// plugin would otherwise build a map of them for each member in Permit.
func (h quorumHandle) PodGroupManager() fwk.PodGroupManager {
	return quorumGroups{h.Handle.PodGroupManager()}
}

type quorumGroups struct{ fwk.PodGroupManager }

// PodGroupStates lists the pod counts of the groups.
func (g quorumGroups) PodGroupStates() fwk.PodGroupStateLister {
	return quorumStates{g.PodGroupManager.PodGroupStates()}
}

type quorumStates struct{ fwk.PodGroupStateLister }

// Get returns the pod counts of a group.
func (s quorumStates) Get(namespace, name string) (fwk.PodGroupState, error) {
	state, err := s.PodGroupStateLister.Get(namespace, name)
	if err != nil {
		return nil, err
	}
	return quorumState{state}, nil
}

type quorumState struct{ fwk.PodGroupState }

// UnscheduledPods returns nil: the in-tree plugin only passes these pods to Activate,
// which does nothing here.
func (quorumState) UnscheduledPods() map[string]*v1.Pod { return nil }

// GetWaitingPod returns a pod that waits in Permit. The framework has recorded that the
// plugin Gang makes it wait, so the returned pod's Allow uses that name.
func (h quorumHandle) GetWaitingPod(uid types.UID) fwk.WaitingPod {
	if waiting := h.Handle.GetWaitingPod(uid); waiting != nil {
		return quorumPod{waiting}
	}
	return nil
}

type quorumPod struct{ fwk.WaitingPod }

// Allow allows the pod in the name of Gang.
func (p quorumPod) Allow(string) { p.WaitingPod.Allow(pluginName) }
