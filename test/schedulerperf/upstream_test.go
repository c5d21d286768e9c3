// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package schedulerperf

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/bench/perf"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

const (
	// profileEnv is the environment variable with the name of the scheduler to run the
	// workloads with.
	profileEnv = "SCHEDULERPERF_PROFILE"
	// allEnv is an environment variable. If it is set, the slow workloads run too, and each
	// workload runs with every allocator with which upstream tests it.
	allEnv = "SCHEDULERPERF_ALL"
)

func TestMain(m *testing.M) { os.Exit(perf.Main(m)) }

// BenchmarkWorkload runs a workload in the process started for it.
func BenchmarkWorkload(b *testing.B) { perf.Workload(b) }

// Every DRA workload that upstream labels an integration test must pass with Dovetail's
// profile. The short form runs the workloads that upstream labels fast, which cover all
// code paths.
func TestUpstreamDRA(t *testing.T) {
	upstream(t, func(c perf.Case) bool { return strings.Contains(c.Workload, "fast") }, "dra")
}

// Every workload of PodGroups, and of preemption for them, must pass too. The short form
// runs the workloads that upstream labels short.
func TestUpstreamPodGroups(t *testing.T) {
	upstream(t, func(c perf.Case) bool { return c.Has("short") }, "podgroup", "workload_preemption")
}

// podSuites are the directories with workloads of pods that ask something of one another, of
// their nodes or of volumes.
var podSuites = []string{"affinity", "topology_spreading", "volumes", "misc"}

// Every such workload must pass with single pods. The slow form alone runs them: as gangs
// they take the same paths and more.
func TestUpstreamPods(t *testing.T) {
	if os.Getenv(allEnv) == "" {
		t.Skip(allEnv + " is not set")
	}
	upstream(t, func(perf.Case) bool { return true }, podSuites...)
}

// quickAsGangs are the tests that the short form runs with gangs, one for each way in which
// the planner treats what the pods ask for.
var quickAsGangs = []string{"SchedulingPodAntiAffinity", "SchedulingPodAffinity", "TopologySpreading", "SchedulingCSIPVs"}

// noGang has the tests whose pods cannot be bound as one gang, with the reason.
var noGang = map[string]string{
	"PreemptionPVs": "the pods must preempt others, and a gang preempts nobody",
}

// Every such workload must pass too if the pods of each of its operations are one gang.
func TestUpstreamPodsAsGangs(t *testing.T) {
	runner, module := newRunner(t)
	for _, dir := range podSuites {
		cases, err := perf.Cases(module, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			if !c.Has("integration-test") || os.Getenv(allEnv) == "" && !slices.Contains(quickAsGangs, c.Test) {
				continue
			}
			t.Run(c.Name(), func(t *testing.T) {
				if reason := noGang[c.Test]; reason != "" {
					t.Skip(reason)
				}
				pass(t, runner, perf.Run{Case: c, Profile: perf.Dovetail, Gangs: true})
			})
		}
	}
}

// upstream runs the workloads of some directories. The short form runs only the quick ones.
func upstream(t *testing.T, quick func(perf.Case) bool, dirs ...string) {
	runner, module := newRunner(t)
	profile := perf.Profile(cmp.Or(os.Getenv(profileEnv), string(perf.Dovetail)))
	all := os.Getenv(allEnv) != ""
	for _, dir := range dirs {
		cases, err := perf.Cases(module, dir)
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		for _, c := range cases {
			if !c.Has("integration-test") || !all && !quick(c) {
				continue
			}
			allocators := []string{""}
			if all {
				allocators = append(allocators, c.Allocators...)
			}
			for _, allocator := range allocators {
				ran++
				t.Run(c.Name()+"/"+cmp.Or(allocator, "default"), func(t *testing.T) {
					pass(t, runner, perf.Run{Case: c, Profile: profile, Allocator: allocator})
				})
			}
		}
		if ran == 0 {
			t.Errorf("upstream labels no workload of %s an integration test", dir)
		}
	}
}

// newRunner returns a runner and the directory of upstream's module.
func newRunner(t *testing.T) (runner perf.Runner, module string) {
	t.Helper()
	module, err := localcluster.ModuleDir(t.Context(), localcluster.ModuleKubernetes)
	if err != nil {
		t.Fatal(err)
	}
	etcd, err := localcluster.Program(t.Context(), localcluster.Etcd, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return perf.Runner{
		Benchmark: "BenchmarkWorkload", Etcd: etcd,
		Logs: filepath.Join(filepath.Dir(filepath.Dir(etcd)), "schedulerperf"),
	}, module
}

// pass runs a workload. If it fails, it runs the workload with stock, which shows whether
// Dovetail is the cause.
func pass(t *testing.T, runner perf.Runner, run perf.Run) {
	result, err := runner.Do(t.Context(), run)
	if err == nil {
		t.Logf("passed with %s in %v, %.1f pods/s", run.Profile, result.Took.Round(time.Second), result.Throughput())
		return
	}
	t.Error(err)
	if run.Profile == perf.Stock {
		return
	}
	run.Profile = perf.Stock
	if _, err := runner.Do(t.Context(), run); err != nil {
		t.Errorf("stock fails as well: %v", err)
		return
	}
	t.Error("stock passes")
}
