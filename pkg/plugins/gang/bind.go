// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultbinder"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/placement"
	"github.com/dovetail-dev/dovetail/pkg/writes"
)

// maxBindings is the maximum number of concurrent bindings, over all gangs and profiles.
// All members of a gang leave Permit together, and each sends its binding. An API server
// accepts 100 concurrent requests per connection (HTTP2MaxStreamsPerConnection of
// k8s.io/apiserver). The scheduler's watches use a few dozen of them. For further requests
// the client opens another connection, whose TLS handshake costs both ends more than the
// binding. The limit does not slow bindings down: the API server processes fewer at a time.
const maxBindings = 50

// newBinder makes the in-tree plugin that binds pods.
func newBinder(ctx context.Context, handle fwk.Handle) (fwk.BindPlugin, error) {
	inner, err := defaultbinder.New(ctx, nil, handle)
	if err != nil {
		return nil, fmt.Errorf("making the in-tree plugin %s: %w", defaultbinder.Name, err)
	}
	binder, ok := inner.(fwk.BindPlugin)
	if !ok {
		return nil, fmt.Errorf("the in-tree plugin %s is a %T, which does not bind", defaultbinder.Name, inner)
	}
	return binder, nil
}

// Bind binds a member like the in-tree plugin, once fewer than maxBindings are in progress.
// It skips pods without a gang.
func (g *Gang) Bind(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	if destinationOf(state) == nil && !gangs.InPodGroup(pod) {
		return fwk.NewStatus(fwk.Skip)
	}
	if err := g.bindings.Acquire(ctx, 1); err != nil {
		return fwk.AsStatus(fmt.Errorf("waiting for the bindings before it: %w", err))
	}
	defer g.bindings.Release(1)
	status := g.binder.Bind(ctx, state, pod, node)
	if !status.IsSuccess() {
		g.bindFailed(state, pod, node, status)
	}
	return status
}

// bindFailed records why a binding failed, and whether the API server has perhaps carried
// it out. After 409 Conflict and 404 Not Found an earlier repetition of the request may
// have been carried out. The framework calls Unreserve afterwards.
func (g *Gang) bindFailed(state fwk.CycleState, pod *v1.Pod, node string, status *fwk.Status) {
	err := status.AsError()
	unknown := !writes.Refused(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)
	switch d := destinationOf(state); {
	case d != nil:
		g.tracker.BindFailed(d.key, pod, node, status.Message(), unknown)
	case g.podGroups != nil:
		g.podGroups.BindFailed(state, gangstate.FailedBinding{Pod: pod, Node: node, Cause: status.Message(), Unknown: unknown})
	}
}

// readTimeout limits the reads of members that perhaps are bound. They are repeated every
// second (clockPeriod).
const readTimeout = 2 * time.Second

// readUnknown reads the members whose binding ended without an answer. A member that is not
// bound is bound again. For a bound or deleted member, the informer shows that.
func (g *Gang) readUnknown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for key, pods := range g.tracker.UnknownBindings() {
		for _, pod := range pods {
			list, err := g.handle.ClientSet().CoreV1().Pods(pod.Namespace).List(ctx, metav1.ListOptions{
				FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, pod.Name).String(),
			})
			if err != nil {
				return // the API server may be down
			}
			for i := range list.Items {
				if found := &list.Items[i]; found.UID == pod.UID && found.Spec.NodeName == "" {
					g.apply(g.tracker.NotBound(key, pod, time.Now()))
				}
			}
		}
	}
}

// skipNomination keeps the scheduler from writing the planned node to the pod
// (status.nominatedNodeName) if the binding follows at once. In a gang, this saves one
// write per member except the last, and one event for every watch of pods. The scheduler
// writes the nomination before a pod waits in Permit or in PreBind, and only if the pod of
// its cycle does not have it already. That pod is the cycle's own copy. During Permit the
// only other reader is the scheduler's cache, which reads no status (ADR 0013).
//
// Cluster autoscalers need the nomination if PreBind takes long: volumes may have to be
// created, or devices attached.
func skipNomination(state fwk.CycleState, pod *v1.Pod, node string) {
	if cluster.PlannedOf(state).Node != node || cluster.BindsSlowly(state) || placement.HasVolumeClaims(pod) {
		return
	}
	pod.Status.NominatedNodeName = node
}
