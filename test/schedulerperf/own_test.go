// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package schedulerperf

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dovetail-dev/dovetail/bench/perf"
)

// The workloads of bench/perf, in their smallest sizes.
const (
	ownWorkloads = "../../bench/perf/workloads"
	restart      = "dovetail/Restart/40Nodes_160Pods"
)

// Every kind of workload that bench/perf adds to upstream's must run in a small size with
// valid placements. The test also audits the oracle, because an upper bound from invalid
// placements would be meaningless. Stock runs in the workloads that restart the scheduler.
func TestOwnWorkloads(t *testing.T) {
	both := []perf.Profile{perf.Dovetail, perf.Oracle}
	for name, profiles := range map[string][]perf.Profile{
		"dovetail/UngatedGangs/10Nodes_3x3": both, "dovetail/PairGangs/20Nodes_4x4": both, "dovetail/PodGroups/200Nodes_3x8": both,
		"dovetail/Infeasible/200Nodes_1x500": both, restart: perf.Profiles(),
	} {
		for _, profile := range profiles {
			t.Run(name+"/"+string(profile), func(t *testing.T) {
				f, err := runOwn(t, ownWorkloads, name, profile)
				if err != nil {
					t.Fatal(err)
				}
				if f.MemoryMB == 0 || f.CPUSeconds == 0 || f.AlgorithmP99 == 0 {
					t.Errorf("figures are missing: %+v", f)
				}
				if name == restart && (f.FirstBind == 0 || f.GangBound < f.FirstBind || f.FirstBind < f.Ready) {
					t.Errorf("a start took %.3f s to be ready, %.3f s to the first binding, %.3f s to the gang's last", f.Ready, f.FirstBind, f.GangBound)
				}
			})
		}
	}
}

// A run with invalid placements must fail with the reason, for every scheduler.
func TestInvalidPlacementsFailTheRun(t *testing.T) {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	const want = "node node-0 has 4 cpu, its pods ask for 6"
	if _, err := runOwn(t, dir, "dovetail/Overcommitted/3Pods", perf.Stock); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the run returns %v, want %q", err, want)
	}
}

func runOwn(t *testing.T, dir, name string, profile perf.Profile) (perf.Figures, error) {
	t.Helper()
	runner, module := newRunner(t)
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, c, err := perf.Find(module, dir, name)
	if err != nil {
		t.Fatal(err)
	}
	result, err := runner.Do(t.Context(), perf.Run{Case: c, Profile: profile, Audit: true})
	return result.Figures(), err
}
