// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/kubernetes/pkg/features"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	upstream "k8s.io/kubernetes/test/integration/scheduler_perf"
	"k8s.io/kubernetes/test/utils/client-go/ktesting"

	"github.com/dovetail-dev/dovetail/bench/perf/audit"
)

// orderEnv is the environment variable with the order of the process that runs one
// workload.
const orderEnv = "DOVETAIL_PERF_ORDER"

// schedulingTimeout limits the scheduling of the pods of a workload. Upstream uses the
// value for its slowest workload.
const schedulingTimeout = 20 * time.Minute

// order is the input of the process that runs one workload. The parent process passes it
// in the environment variable orderEnv.
type order struct {
	// Config is the path of the file with the workload.
	Config    string
	Profile   Profile
	Allocator string
	// Publish is true if the process must publish the devices of nodes.
	Publish bool
	// Dir is the directory for the figures that upstream does not write.
	Dir string
	// Rules are the rules of the audit, or nil for no audit.
	Rules *audit.Rules
	// Restart is the configuration file of the scheduler that starts late, or "": see
	// restart.
	Restart string
}

// Main runs the tests of a binary that runs workloads, and returns the exit code. TestMain calls it.
func Main(m *testing.M) int {
	if os.Getenv(orderEnv) != "" {
		if err := upstream.InitTests(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// serveName is the name of the benchmark in a command that calls Serve.
const serveName = "BenchmarkWorkload"

// Serve runs the workload and exits if this process was started for a workload; otherwise
// it returns. main of a command that runs workloads must call it first.
func Serve() {
	if os.Getenv(orderEnv) == "" {
		return
	}
	testing.Init()
	if err := upstream.InitTests(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testing.Main(regexp.MatchString, nil, []testing.InternalBenchmark{{Name: serveName, F: Workload}}, nil)
}

// Workload runs the workload for which the process was started.
func Workload(b *testing.B) {
	text := os.Getenv(orderEnv)
	if text == "" {
		b.Skip("runs only in a process of its own")
	}
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		b.Fatalf("reading %s: %v", orderEnv, err)
	}
	if o.Allocator != "" {
		structured.EnableAllocators(o.Allocator)
		defer structured.EnableAllocators()
	}
	registry := o.registry()
	upstream.RunBenchmarkPerfScheduling(b, o.Config, string(o.Profile), registry, o.options(registry)...)
}

// registry returns the scheduler's out-of-tree plugins.
func (o order) registry() frameworkruntime.Registry {
	c := contenders[o.Profile]
	if c.registry == nil {
		return nil
	}
	registry := c.registry()
	for name := range registry {
		upstream.PluginNames = append(upstream.PluginNames, name)
	}
	slices.Sort(upstream.PluginNames)
	return registry
}

// options returns the callbacks for upstream's harness.
func (o order) options(registry frameworkruntime.Registry) []upstream.SchedulerPerfOption {
	options := []upstream.SchedulerPerfOption{upstream.WithPodsSchedulingTimeout(schedulingTimeout), upstream.WithPrepareFn(o.finishAfterwards)}
	switch {
	case o.Restart != "":
		late := &restart{config: o.Restart, registry: registry, dir: o.Dir}
		options = append(options, upstream.WithNodeUpdateFn(late.nodesCreated))
	case o.Publish:
		options = append(options, upstream.WithNodeUpdateFn(publishDevices))
	}
	if o.Allocator == "stable" {
		options = append(options, upstream.WithPreRunFn(withoutYoungFeatures))
	}
	return options
}

// withoutYoungFeatures disables the DRA features that are on by default and that the
// stable allocator does not support.
func withoutYoungFeatures(tCtx ktesting.TContext, _ *upstream.Workload) (func(), error) {
	featuregatetesting.SetFeatureGatesDuringTest(tCtx, utilfeature.DefaultFeatureGate, map[featuregate.Feature]bool{
		features.DRAConsumableCapacity:      false,
		features.DRADeviceBindingConditions: false,
	})
	return nil, nil
}
