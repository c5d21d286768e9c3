// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"
)

func upstreamRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// find returns upstream's workload of that name.
func find(t *testing.T, name string) Case {
	t.Helper()
	cases, err := Cases(upstreamRoot(t), "dra")
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(cases, func(c Case) bool { return c.Name() == name })
	if at < 0 {
		t.Fatalf("upstream has no workload %s", name)
	}
	return cases[at]
}

func TestCasesKnowLabelsAndAllocators(t *testing.T) {
	got := find(t, "dra/prioritizedlist/FirstAvailable/fast")
	want := Case{
		Dir: got.Dir, Suite: "dra/prioritizedlist", Test: "FirstAvailable", Workload: "fast",
		Labels: []string{"integration-test", "short"}, Allocators: []string{"experimental", "incubating"}, Settles: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("case (-want,+got):\n%s", diff)
	}
	if _, err := Cases(upstreamRoot(t), "dra/templates"); err == nil {
		t.Error("a directory without workloads is no error")
	}
}

// A run of Dovetail must differ from upstream's workload only in the scheduler's
// configuration, the collected metrics and the threshold.
func TestOnlyTheSchedulerDiffers(t *testing.T) {
	c := find(t, "dra/SchedulingWithResourceClaimTemplate/5000pods_500nodes")
	got := writtenTest(t, c, contenders[Dovetail])
	upstreamText, err := os.ReadFile(filepath.Join(c.Dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	var all []fields
	if err := yaml.Unmarshal(upstreamText, &all); err != nil {
		t.Fatal(err)
	}
	want := all[slices.IndexFunc(all, func(f fields) bool { return f["name"] == c.Test })]
	workloads := want["workloads"].([]any)
	workload := workloads[slices.IndexFunc(workloads, func(w any) bool { return w.(map[string]any)["name"] == c.Workload })].(map[string]any)
	if workload["threshold"] == nil {
		t.Fatal("upstream's workload has no threshold, so this test checks nothing")
	}
	delete(workload, "threshold")
	want["workloads"] = []any{workload}
	want["schedulerConfigPath"] = got["schedulerConfigPath"]
	want["metricsCollectorConfig"] = got["metricsCollectorConfig"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("test (-want,+got):\n%s", diff)
	}
}

// writtenTest writes the configuration for a contender and reads it back.
func writtenTest(t *testing.T, c Case, with contender) fields {
	t.Helper()
	name, err := writeConfig(Run{Case: c}, with, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var tests []fields
	if err := json.Unmarshal(text, &tests); err != nil {
		t.Fatal(err)
	}
	if len(tests) != 1 {
		t.Fatalf("%d tests are left, want 1", len(tests))
	}
	return tests[0]
}

// Dovetail's plugins must be added to upstream's configuration. Stock must keep upstream's
// file.
func TestSchedulerConfig(t *testing.T) {
	c := find(t, "dra/extendedresource/scoring/ExtendedResourceScoring/fast")
	if got := writtenTest(t, c, contenders[Stock])["schedulerConfigPath"]; got != "scheduler-config.yaml" {
		t.Errorf("stock's configuration is %v, want upstream's", got)
	}
	text, err := os.ReadFile(writtenTest(t, c, contenders[Dovetail])["schedulerConfigPath"].(string))
	if err != nil {
		t.Fatal(err)
	}
	var cfg schedulerv1.KubeSchedulerConfiguration
	if err := yaml.UnmarshalStrict(text, &cfg); err != nil {
		t.Fatal(err)
	}
	if len(cfg.Profiles) != 1 {
		t.Fatalf("%d profiles, want 1", len(cfg.Profiles))
	}
	profile := cfg.Profiles[0]
	got := map[string][]string{"name": {*profile.SchedulerName}}
	for _, arguments := range profile.PluginConfig {
		got["arguments"] = append(got["arguments"], arguments.Name)
	}
	for point, set := range map[string]schedulerv1.PluginSet{
		"multiPoint": profile.Plugins.MultiPoint, "queueSort": profile.Plugins.QueueSort, "postFilter": profile.Plugins.PostFilter,
	} {
		for _, plugin := range set.Enabled {
			got[point] = append(got[point], plugin.Name)
		}
		for _, plugin := range set.Disabled {
			got[point] = append(got[point], "-"+plugin.Name)
		}
	}
	want := map[string][]string{
		"name":       {"default-scheduler"},
		"arguments":  {"NodeResourcesFit", "Gang", "Topology"},
		"multiPoint": {"Gang", "GangGate", "Preemption", "Topology", "DRAAware", "-DynamicResources", "-DefaultPreemption", "-TopologyPlacementGenerator"},
		"queueSort":  {"Gang", "-PrioritySort"},
		"postFilter": {"DRAAware", "Gang"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("profile (-want,+got):\n%s", diff)
	}
}

// A profile with plugins that cannot be merged with Dovetail's must be an error.
func TestSchedulerConfigRefuses(t *testing.T) {
	for name, profile := range map[string]schedulerv1.KubeSchedulerProfile{
		"plugins":   {Plugins: &schedulerv1.Plugins{}},
		"arguments": {PluginConfig: []schedulerv1.PluginConfig{{Name: "DynamicResources"}}},
	} {
		if err := useShippedPlugins(&profile, nil); err == nil {
			t.Errorf("a profile with %s of its own is accepted", name)
		}
	}
}

// The oracle's profile must enable the plugins that binding and the workload's feature
// gates need.
func TestOracleConfig(t *testing.T) {
	for gate, want := range map[string][]string{
		"":                          {"SchedulingGates", "PrioritySort", "Oracle", "DefaultBinder"},
		"DynamicResourceAllocation": {"SchedulingGates", "PrioritySort", "Oracle", "OracleDevices", "DefaultBinder"},
		"GenericWorkload":           {"SchedulingGates", "PrioritySort", "Oracle", "GangScheduling", "DefaultBinder"},
	} {
		var profile schedulerv1.KubeSchedulerProfile
		if err := useOracle(&profile, map[string]bool{gate: true}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, plugin := range profile.Plugins.MultiPoint.Enabled {
			got = append(got, plugin.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("plugins with gate %q (-want,+got):\n%s", gate, diff)
		}
	}
}

// Every short name must belong to an existing workload.
func TestNamedWorkloadsExist(t *testing.T) {
	root := upstreamRoot(t)
	for _, n := range Workloads() {
		if _, _, err := Find(root, "workloads", n.Name); err != nil {
			t.Error(err)
		}
	}
}
