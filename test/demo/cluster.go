// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// start starts the demo's cluster and returns the function that ends it.
func start(ctx context.Context, o options, s *screen) (*localcluster.Cluster, func() error, error) {
	progress := indented{s}
	// The cluster builds its own components when it starts, but not kubectl.
	if _, err := localcluster.Program(ctx, "kubectl", progress); err != nil {
		return nil, nil, fmt.Errorf("building kubectl: %w", err)
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
	// A cluster of an earlier run with --keep still has the objects of that run.
	if err := localcluster.Down(o.dir, progress); err != nil {
		return nil, nil, fmt.Errorf("ending the cluster that was kept: %w", err)
	}
	cluster, err := localcluster.Up(ctx, wanted)
	if err != nil {
		return nil, nil, fmt.Errorf("starting the cluster: %w", err)
	}
	return cluster, func() error { return printHowToContinue(cluster, s) }, nil
}

// printHowToContinue prints the commands that use and end the cluster.
func printHowToContinue(cluster *localcluster.Cluster, s *screen) error {
	s.title("The cluster keeps running")
	s.line(fmt.Sprintf("%s --kubeconfig %s -n %s get pods -o wide", cluster.Binary("kubectl"), cluster.Kubeconfig(), namespace))
	s.line(fmt.Sprintf("go run ./test/localcluster/cmd down --dir %s", cluster.Dir()))
	return nil
}
