// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"k8s.io/klog/v2"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// interrupted is the exit code after Ctrl-C.
const interrupted = 130

// options are the flags, and the settings that tests change.
type options struct {
	dir  string
	keep bool
	// schedulerConfig replaces the configuration shipped with Dovetail.
	schedulerConfig []byte
	fleet           fleet.Spec
	steps           []step
}

func main() {
	o := options{fleet: fleet.Default(), steps: steps}
	flag.StringVar(&o.dir, "dir", "", "directory of the demo's cluster (default .cache/demo in the checkout)")
	flag.BoolVar(&o.keep, "keep", false, "leave the cluster running afterwards")
	flag.Parse()
	// The logs of client libraries would interrupt the output of the demo. Each step returns
	// its own errors.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, o, newScreen(os.Stdout))
	stop()
	os.Exit(code)
}

// run runs the demo from start to cleanup and returns its exit code.
func run(ctx context.Context, o options, s *screen) int {
	err := runOnCluster(ctx, o, s)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		s.wrong("interrupted")
		return interrupted
	}
	s.wrong(err.Error())
	return 1
}

// runOnCluster starts the cluster and runs the steps. It always ends the cluster.
func runOnCluster(ctx context.Context, o options, s *screen) (err error) {
	if o.dir == "" {
		clusterDir, err := localcluster.DefaultDir()
		if err != nil {
			return fmt.Errorf("finding the checkout: %w", err)
		}
		o.dir = filepath.Join(filepath.Dir(clusterDir), "demo")
	}
	s.title("Dovetail on a simulated fleet: 16 ND H100 v5 nodes with 8 GPUs and 8 RDMA NICs each, on 2 spines of 2 leaf switches")
	cluster, stop, err := start(ctx, o, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := runSteps(ctx, cluster, o, s); err != nil {
		return fmt.Errorf("%w\n  logs are in %s", err, filepath.Join(cluster.Dir(), "logs"))
	}
	return nil
}
