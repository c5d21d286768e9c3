// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultbinder"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// maxBindings is how many members are bound at once, of all gangs of all profiles. A
// gang comes out of Permit as a whole, and each member sends its binding. An API server
// takes 100 requests at a time on one connection (HTTP2MaxStreamsPerConnection of
// k8s.io/apiserver), a few dozen of which are the scheduler's watches; for every one
// beyond that the client opens a connection of its own, whose TLS handshake costs both
// ends more than the binding. Bindings do not get slower by it: the API server works on
// fewer at a time than that.
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

// Bind binds a member as the in-tree plugin does, when it is its turn. It leaves other
// pods to the plugins after it.
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
