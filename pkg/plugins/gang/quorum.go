// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

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

// newQuorum makes the in-tree plugin that lets the members of a PodGroup of
// scheduling.k8s.io through Permit once there are enough of them, for use inside of
// this one. The shipped configuration turns the plugin itself off in Permit.
//
// On its own it has the queue look for the members that are not there yet, each
// time another one comes: for a group of a thousand half a million times, all in
// the scheduler's only cycle. The PodGroup cycle brings all its members one after
// the other, so there is nothing to look for.
func newQuorum(ctx context.Context, handle fwk.Handle) (fwk.PermitPlugin, error) {
	features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	inner, err := gangscheduling.New(ctx, nil, quorumHandle{handle}, features)
	if err != nil {
		return nil, fmt.Errorf("making the in-tree plugin %s: %w", gangscheduling.Name, err)
	}
	quorum, ok := inner.(fwk.PermitPlugin)
	if !ok {
		return nil, fmt.Errorf("the in-tree plugin %s is a %T, which has no Permit", gangscheduling.Name, inner)
	}
	return quorum, nil
}

// quorumHandle is what the in-tree plugin gets.
type quorumHandle struct{ fwk.Handle }

// Activate does nothing.
func (quorumHandle) Activate(klog.Logger, map[string]*v1.Pod) {}

// GetWaitingPod returns a pod that waits, as the framework sees it, for Gang.
func (h quorumHandle) GetWaitingPod(uid types.UID) fwk.WaitingPod {
	if waiting := h.Handle.GetWaitingPod(uid); waiting != nil {
		return quorumPod{waiting}
	}
	return nil
}

type quorumPod struct{ fwk.WaitingPod }

// Allow allows the pod in the name of Gang.
func (p quorumPod) Allow(string) { p.WaitingPod.Allow(Name) }
