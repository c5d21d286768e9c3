// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultbinder"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// maxBindings is how many members are bound at once, of all gangs of all profiles. A gang
// comes out of Permit as a whole, and each member sends its binding. An API server takes 100
// requests at a time on one connection (HTTP2MaxStreamsPerConnection of k8s.io/apiserver), a
// few dozen of which are the scheduler's watches; for every request beyond that the client
// opens another connection, whose TLS handshake costs both ends more than the binding. The
// limit does not slow bindings: the API server works on fewer at a time.
const maxBindings = 50

// newBinder makes the in-tree plugin that binds, for use inside of this one.
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

// Bind binds a member as the in-tree plugin does, once fewer than maxBindings are under way.
// It leaves other pods to the plugins after it.
func (g *Gang) Bind(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	if destinationOf(state) == nil && !gangs.InPodGroup(pod) {
		return fwk.NewStatus(fwk.Skip)
	}
	if err := g.bindings.Acquire(ctx, 1); err != nil {
		return fwk.AsStatus(fmt.Errorf("waiting for the bindings before it: %w", err))
	}
	defer g.bindings.Release(1)
	return g.binder.Bind(ctx, state, pod, node)
}

// skipNomination keeps the scheduler from writing the planned node on the pod
// (status.nominatedNodeName) where the binding follows at once: for a gang that is one write
// for each member but the last, beside its creation and its binding, and one more event for
// every watch of pods. The scheduler writes it before a pod waits in Permit or is prepared
// for its binding, and only if the pod of its cycle does not carry it already. That pod is
// the cycle's own copy; when Permit gets it, no other goroutine has it apart from the
// scheduler's cache, which reads no status (ADR 0013).
//
// Where preparing takes long, cluster autoscalers need the nomination: volumes may have to
// be created first, devices to be attached.
func skipNomination(state fwk.CycleState, pod *v1.Pod, node string) {
	if cluster.PlannedOf(state).Node != node || cluster.BindsSlowly(state) || hasVolumeClaims(pod) {
		return
	}
	pod.Status.NominatedNodeName = node
}

func hasVolumeClaims(pod *v1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if source := &pod.Spec.Volumes[i].VolumeSource; source.PersistentVolumeClaim != nil || source.Ephemeral != nil {
			return true
		}
	}
	return false
}
