// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"k8s.io/klog/v2"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// interrupted is the exit code of a program that Ctrl-C ended.
const interrupted = 130

// options are the flags, and what a test changes.
type options struct {
	dir  string
	keep bool
	// schedulerConfig replaces the configuration that Dovetail ships.
	schedulerConfig []byte
	fleet           fleet.Spec
	steps           []step
}

func main() {
	o := options{fleet: fleet.Default(), steps: steps}
	flag.StringVar(&o.dir, "dir", "", "directory of the demo's cluster (default .cache/demo in the checkout)")
	flag.BoolVar(&o.keep, "keep", false, "leave the cluster running afterwards")
	flag.Parse()
	// What client libraries log is no part of the story; what matters to it is an
	// error of the step.
	klog.LogToStderr(false)
	klog.SetOutput(nowhere{})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, o, newScreen(os.Stdout))
	stop()
	os.Exit(code)
}

// run is the demo from start to cleanup, and its exit code.
func run(ctx context.Context, o options, s *screen) int {
	err := play(ctx, o, s)
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

// play starts the cluster, plays on it and ends it, whatever happens.
func play(ctx context.Context, o options, s *screen) (err error) {
	if o.dir == "" {
		beside, err := localcluster.DefaultDir()
		if err != nil {
			return fmt.Errorf("finding the checkout: %w", err)
		}
		o.dir = filepath.Join(filepath.Dir(beside), "demo")
	}
	s.title("Dovetail on a simulated fleet: 2 spines of 2 leaves of 4 nodes, each 8 GPUs and 8 RDMA NICs (ND H100 v5)")
	cluster, stop, err := start(ctx, o, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := perform(ctx, cluster, o, s); err != nil {
		return fmt.Errorf("%w\n  logs are in %s", err, filepath.Join(cluster.Dir(), "logs"))
	}
	return nil
}

// nowhere swallows logs.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
