// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/bench/perf/audit"
)

// own returns the workload of Dovetail with that name, without its suite.
func own(t *testing.T, name string) Case {
	t.Helper()
	_, c, err := Find(upstreamRoot(t), "workloads", ownSuite+"/"+name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSettles(t *testing.T) {
	for name, tc := range map[string]struct {
		operations []operation
		want       bool
	}{
		"waits for its pods":      {[]operation{{Opcode: "createNodes"}, {Opcode: "createPods"}}, true},
		"waits for no pods":       {[]operation{{Opcode: "createPods", SkipWaitToCompletion: true}}, false},
		"waits for no pod sets":   {[]operation{{Opcode: "createPodSets", CreatePodsOp: &operation{SkipWaitToCompletion: true}}}, false},
		"waits at a barrier":      {[]operation{{Opcode: "createPods", SkipWaitToCompletion: true}, {Opcode: "barrier"}}, true},
		"waits for attempts only": {[]operation{{Opcode: "createPods", SkipWaitToCompletion: true}, {Opcode: "barrier", StageRequirement: "Attempted"}}, false},
		"steady state turned off": {[]operation{{Opcode: "createPods", SteadyStateParam: "$rapid"}}, true},
		"steady state turned on":  {[]operation{{Opcode: "createPods", SteadyStateParam: "$steady"}}, false},
		"deletes pods":            {[]operation{{Opcode: "createPods"}, {Opcode: "deletePods"}}, false},
	} {
		if got := settles(tc.operations, map[string]any{"steady": true, "rapid": false}); got != tc.want {
			t.Errorf("%s: settles is %v", name, got)
		}
	}
}

// The audit rules of a run must depend on the scheduler and the workload.
func TestRulesOfARun(t *testing.T) {
	upstreams := find(t, "dra/SchedulingWithResourceClaimTemplate/5000pods_500nodes")
	for name, tc := range map[string]struct {
		run  Run
		want *audit.Rules
	}{
		"no audit":                    {Run{Case: upstreams, Profile: Dovetail}, nil},
		"stock ignores the label":     {Run{Case: own(t, "UngatedGangs/10Nodes_3x3"), Profile: Stock, Audit: true}, &audit.Rules{AllBound: true, NoDeletions: true}},
		"Dovetail reads the label":    {Run{Case: own(t, "Restart/40Nodes_160Pods"), Profile: Dovetail, Audit: true}, &audit.Rules{AllBound: true, NoDeletions: true, Labelled: true}},
		"a workload that never binds": {Run{Case: own(t, "Infeasible/200Nodes_1x500"), Profile: Oracle, Audit: true}, &audit.Rules{NoDeletions: true, Labelled: true}},
		"upstream's workload":         {Run{Case: upstreams, Profile: Stock, Audit: true}, &audit.Rules{AllBound: true, NoDeletions: true}},
	} {
		if diff := cmp.Diff(tc.want, tc.run.order("", "").Rules); diff != "" {
			t.Errorf("%s (-want,+got):\n%s", name, diff)
		}
	}
}

// In a restart workload upstream's harness runs the idle scheduler. The measured scheduler
// must have its own configuration file.
func TestRestartConfig(t *testing.T) {
	c := own(t, "Restart/40Nodes_160Pods")
	for profile, phrase := range map[Profile]string{Stock: "schedulerName: default-scheduler", Dovetail: "name: Gang", Oracle: "name: Oracle"} {
		dir := t.TempDir()
		name, err := writeConfig(Run{Case: c}, contenders[profile], dir)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), `"schedulerConfigPath":"idle-scheduler.yaml"`) {
			t.Errorf("%s: the harness does not start the idle scheduler: %s", profile, text)
		}
		late := Run{Case: c, Profile: profile}.order(name, dir).Restart
		if late != filepath.Join(dir, schedulerFile) {
			t.Errorf("%s: the late scheduler's configuration is %q", profile, late)
		}
		cfg, err := readSchedulerConfig(late)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Profiles[0].SchedulerName; got != "default-scheduler" {
			t.Errorf("%s: the late scheduler is called %q", profile, got)
		}
		if text, err = os.ReadFile(late); err != nil || !strings.Contains(string(text), phrase) {
			t.Errorf("%s: its configuration lacks %q: %v\n%s", profile, phrase, err, text)
		}
	}
}

// The error of a run must repeat the first sentences of the audit.
func TestProblemsInAnError(t *testing.T) {
	dir := t.TempDir()
	if got := problems(dir); got != "" {
		t.Errorf("problems without a file: %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, problemsFile), []byte("a\nb\nc\nd\ne\nf\ng\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := problems(dir), "a; b; c; d; e; and 2 more"; got != want {
		t.Errorf("problems are %q, want %q", got, want)
	}
}
