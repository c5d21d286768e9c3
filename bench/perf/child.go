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
)

// orderEnv holds the order of the process that runs one workload.
const orderEnv = "DOVETAIL_PERF_ORDER"

// schedulingTimeout is how long the pods of a workload may take: upstream's choice for its slowest.
const schedulingTimeout = 20 * time.Minute

// order says what the process of one workload does.
type order struct {
	// Config is the file with the workload.
	Config    string
	Profile   Profile
	Allocator string
	// Publish has the devices of nodes published.
	Publish bool
}

// Main is what TestMain of a binary that runs workloads calls. It returns the exit code.
func Main(m *testing.M) int {
	if os.Getenv(orderEnv) != "" {
		if err := upstream.InitTests(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// serveName is the benchmark of a command that calls Serve.
const serveName = "BenchmarkWorkload"

// Serve is what main of a command that runs workloads calls first. In the process of a workload it runs that and does not
// return.
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

// Workload runs the one workload that the process was started for.
func Workload(b *testing.B) {
	text := os.Getenv(orderEnv)
	if text == "" {
		b.Skip("runs in a process that was started for it only")
	}
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		b.Fatalf("reading %s: %v", orderEnv, err)
	}
	var registry frameworkruntime.Registry
	if c := contenders[o.Profile]; c.registry != nil {
		registry = c.registry()
		for name := range registry {
			upstream.PluginNames = append(upstream.PluginNames, name)
		}
		slices.Sort(upstream.PluginNames)
	}
	options := []upstream.SchedulerPerfOption{upstream.WithPodsSchedulingTimeout(schedulingTimeout)}
	if o.Publish {
		options = append(options, upstream.WithNodeUpdateFn(publishDevices))
	}
	if o.Allocator != "" {
		structured.EnableAllocators(o.Allocator)
		defer structured.EnableAllocators()
	}
	if o.Allocator == "stable" {
		options = append(options, upstream.WithPreRunFn(withoutYoungFeatures))
	}
	upstream.RunBenchmarkPerfScheduling(b, o.Config, string(o.Profile), registry, options...)
}

// withoutYoungFeatures turns off the features, on by default, that the stable allocator lacks.
func withoutYoungFeatures(tCtx ktesting.TContext, _ *upstream.Workload) (func(), error) {
	featuregatetesting.SetFeatureGatesDuringTest(tCtx, utilfeature.DefaultFeatureGate, map[featuregate.Feature]bool{
		features.DRAConsumableCapacity:      false,
		features.DRADeviceBindingConditions: false,
	})
	return nil, nil
}
