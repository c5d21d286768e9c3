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

// quorum counts the members of PodGroups of scheduling.k8s.io.
type quorum interface {
	fwk.PreEnqueuePlugin
	fwk.EnqueueExtensions
	fwk.PermitPlugin
}

// newQuorum makes the in-tree plugin that lets the members of a PodGroup of
// scheduling.k8s.io into the queue and through Permit once there are enough of them, for use
// inside of Gang and GangGate. The shipped configuration disables the plugin itself.
//
// On its own it makes the queue look in Permit for the members that are not there yet, each
// time another member comes: for a group of a thousand half a million times, all in the
// scheduler's only cycle. The PodGroup cycle brings all its members one after the other, so
// there is nothing to look for. The comment of GangGate says what PreEnqueue costs.
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

// quorumHandle is what the in-tree plugin gets.
type quorumHandle struct{ fwk.Handle }

// Activate does nothing.
func (quorumHandle) Activate(klog.Logger, map[string]*v1.Pod) {}

// PodGroupManager returns groups without the pods that would be activated: each member that
// comes to Permit would cost a map of all others.
func (h quorumHandle) PodGroupManager() fwk.PodGroupManager {
	return quorumGroups{h.Handle.PodGroupManager()}
}

type quorumGroups struct{ fwk.PodGroupManager }

// PodGroupStates lists what is counted of each group.
func (g quorumGroups) PodGroupStates() fwk.PodGroupStateLister {
	return quorumStates{g.PodGroupManager.PodGroupStates()}
}

type quorumStates struct{ fwk.PodGroupStateLister }

// Get returns what is counted of a group.
func (s quorumStates) Get(namespace, name string) (fwk.PodGroupState, error) {
	state, err := s.PodGroupStateLister.Get(namespace, name)
	if err != nil {
		return nil, err
	}
	return quorumState{state}, nil
}

type quorumState struct{ fwk.PodGroupState }

// UnscheduledPods returns nil, for Activate.
func (quorumState) UnscheduledPods() map[string]*v1.Pod { return nil }

// GetWaitingPod returns a pod that waits, as the framework sees it, for Gang.
func (h quorumHandle) GetWaitingPod(uid types.UID) fwk.WaitingPod {
	if waiting := h.Handle.GetWaitingPod(uid); waiting != nil {
		return quorumPod{waiting}
	}
	return nil
}

type quorumPod struct{ fwk.WaitingPod }

// Allow allows the pod in the name of Gang.
func (p quorumPod) Allow(string) { p.WaitingPod.Allow(pluginName) }
