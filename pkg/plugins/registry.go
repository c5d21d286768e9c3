// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/dovetail-dev/dovetail/pkg/metrics"
	"github.com/dovetail-dev/dovetail/pkg/plugins/draaware"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang"
	"github.com/dovetail-dev/dovetail/pkg/plugins/topology"
	"github.com/dovetail-dev/dovetail/pkg/snapshot"
)

// Registry returns the factory of each plugin by its name. Plugins made by one
// registry share the watch on objects that declare gangs, and those of one
// profile share their picture of the cluster; so one registry serves one
// scheduler.
func Registry() frameworkruntime.Registry {
	metrics.Register()
	shared := &declarations{}
	desks := &snapshot.Desks{}
	return frameworkruntime.Registry{
		gang.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			if err := shared.open(handle); err != nil {
				return nil, err
			}
			return gang.New(ctx, args, handle, shared, desks.Of(handle.ProfileName()))
		},
		topology.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return topology.New(ctx, args, handle, desks.Of(handle.ProfileName()))
		},
		draaware.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return draaware.New(ctx, args, handle, desks.Of(handle.ProfileName()))
		},
	}
}

// Options returns the registry as options of the scheduler command.
func Options() []app.Option {
	var options []app.Option
	for name, factory := range Registry() {
		options = append(options, app.WithPlugin(name, factory))
	}
	return options
}
