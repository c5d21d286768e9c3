// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// start brings up the demo's cluster and returns what ends it.
func start(ctx context.Context, o options, s *screen) (*localcluster.Cluster, func() error, error) {
	progress := indented{s}
	// Building first: the demo needs kubectl, which is no component of the cluster.
	if err := localcluster.Build(ctx, progress); err != nil {
		return nil, nil, fmt.Errorf("building the cluster's programs: %w", err)
	}
	wanted := localcluster.Options{
		Dir: o.dir, Fleets: []fleet.Spec{o.fleet}, DovetailConfig: o.schedulerConfig, Out: progress,
	}
	if !o.keep {
		cluster, err := localcluster.Start(ctx, wanted)
		if err != nil {
			return nil, nil, fmt.Errorf("starting the cluster: %w", err)
		}
		return cluster, cluster.Stop, nil
	}
	// A cluster that an earlier --keep left has that demo's objects in it.
	if err := localcluster.Down(o.dir, progress); err != nil {
		return nil, nil, fmt.Errorf("ending the cluster that was kept: %w", err)
	}
	cluster, err := localcluster.Up(ctx, wanted)
	if err != nil {
		return nil, nil, fmt.Errorf("starting the cluster: %w", err)
	}
	return cluster, func() error { return farewell(cluster, s) }, nil
}

// farewell tells how to go on with a cluster that stays, and how to end it.
func farewell(cluster *localcluster.Cluster, s *screen) error {
	s.title("The cluster stays up")
	s.say(fmt.Sprintf("%s --kubeconfig %s -n %s get pods -o wide", cluster.Binary("kubectl"), cluster.Kubeconfig(), namespace))
	s.say(fmt.Sprintf("go run ./test/localcluster/cmd down --dir %s", cluster.Dir()))
	return nil
}
