// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/controllers"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
	"github.com/dovetail-dev/dovetail/pkg/plugins/draaware"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang"
	"github.com/dovetail-dev/dovetail/pkg/plugins/preemption"
	"github.com/dovetail-dev/dovetail/pkg/plugins/topology"
)

// Registry returns the factory of each plugin by its name. Plugins made by one registry
// share the watch on objects that declare gangs, and those of one profile share their
// cached state of the cluster. One registry therefore serves one scheduler.
func Registry() frameworkruntime.Registry { return registry(&Extras{}) }

// Extras are settings of the scheduler from outside its configuration file. They are read when
// plugins are made, which is after the flags are parsed.
type Extras struct {
	// MakePodGroups makes the scheduler create a PodGroup of scheduling.k8s.io for each
	// RayCluster and JobSet that requests one.
	MakePodGroups bool
	// Election, if set, ensures that only one replica creates PodGroups.
	Election *controllers.Election
	// Leads is closed when this replica leads, after which it may write to the API server. A
	// nil channel means that it leads from the start.
	Leads <-chan struct{}
}

func registry(extras *Extras) frameworkruntime.Registry {
	metrics.Register()
	shared := &declarations{extras: extras}
	profiles, gates := &cluster.Profiles{}, &gang.Gates{}
	declared := &gangArgs{shared: shared}
	return frameworkruntime.Registry{
		gang.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			if err := shared.open(handle); err != nil {
				return nil, err
			}
			if err := declared.set(handle.ProfileName(), args); err != nil {
				return nil, err
			}
			return gang.New(ctx, args, handle, gang.Parts{
				Shared: shared, Profile: profiles.Of(handle.ProfileName()), Gates: gates, Leads: extras.Leads,
				Filters: []string{gang.Name, draaware.Name},
			})
		},
		gang.GateName: func(_ context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return gang.NewGate(handle, gates)
		},
		topology.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return topology.New(ctx, args, handle, profiles.Of(handle.ProfileName()))
		},
		draaware.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return draaware.New(ctx, args, handle, profiles.Of(handle.ProfileName()))
		},
		preemption.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			profile := handle.ProfileName()
			return preemption.New(ctx, args, handle, preemption.Parts{
				Profile: profiles.Of(profile), Gangs: func() (*config.GangArgs, gangs.Sources) { return declared.of(profile) },
			})
		},
	}
}

// Options returns the registry as options of the scheduler command.
func Options() []app.Option { return OptionsWith(&Extras{}) }

// OptionsWith returns the registry as options of the scheduler command, with the given
// extras.
func OptionsWith(extras *Extras) []app.Option {
	var options []app.Option
	for name, factory := range registry(extras) {
		options = append(options, app.WithPlugin(name, factory))
	}
	return options
}
