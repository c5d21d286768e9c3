// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dovetail-dev/dovetail/manifests"
)

// asScheduler is an environment variable. If it is set, the test binary is the scheduler.
const asScheduler = "DOVETAIL_TEST_AS_SCHEDULER"

func TestMain(m *testing.M) {
	if os.Getenv(asScheduler) != "" {
		main()
	}
	os.Exit(m.Run())
}

// runScheduler runs the scheduler in a process of its own. It returns the exit code and the
// output.
func runScheduler(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asScheduler+"=1")
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), strings.ReplaceAll(string(out), `\"`, `"`) // the log quotes the error
}

// edited returns the shipped configuration with texts replaced: old, new, old, new.
func edited(t *testing.T, pairs ...string) []byte {
	t.Helper()
	text := manifests.SchedulerConfig
	for i := 0; i < len(pairs); i += 2 {
		if !bytes.Contains(text, []byte(pairs[i])) {
			t.Fatalf("the manifest has no %q", pairs[i])
		}
		text = bytes.Replace(text, []byte(pairs[i]), []byte(pairs[i+1]), 1)
	}
	return text
}

// --dry-run-config refuses, without an API server, each configuration that would start and
// not do what it says. The error names the field.
func TestDryRunConfig(t *testing.T) {
	const (
		gangArgs      = "  - name: Gang\n    args:\n      # In the order in which they are asked.\n"
		noDRA         = "      - name: DRAAware\n        weight: 2\n      disabled:\n      - name: DynamicResources\n"
		stockDRA      = "      disabled:\n"
		ourPreemption = "      - name: Preemption\n"
		offPreemption = "      - name: DefaultPreemption\n"
		draFirst      = "      - name: DRAAware\n      - name: Gang\n"
		gangAtGroup   = "    podGroupPostFilter:\n      enabled:\n      - name: Gang\n      - name: DRAAware\n"
	)
	tests := map[string]struct {
		edits []string
		args  []string
		// wants are parts of the one error; none means that the configuration is valid.
		wants []string
	}{
		"as shipped": {},
		"levels of device attributes with DRAAware": {edits: []string{"preset: topograph", "preset: azure"}},
		"levels of device attributes without DRAAware": {
			edits: []string{"preset: topograph", "preset: azure", noDRA, stockDRA, draFirst, "      - name: Gang\n", gangAtGroup, ""},
			wants: []string{"profiles[0].pluginConfig[Topology].args.preset", "azure.dra.net/placementGroupId", "needs the plugin DRAAware"},
		},
		"a level of a device attribute without DRAAware": {
			edits: []string{"preset: topograph", "levels: [{name: zone, nodeLabel: zone}, {name: group, deviceAttribute: example.com/group}]",
				noDRA, stockDRA, draFirst, "      - name: Gang\n", gangAtGroup, ""},
			wants: []string{"profiles[0].pluginConfig[Topology].args.levels[1].deviceAttribute", "example.com/group", "needs the plugin DRAAware"},
		},
		"DRAAware beside DynamicResources": {
			edits: []string{"      - name: DynamicResources\n", ""},
			wants: []string{"profiles[0].plugins.multiPoint", "disable DynamicResources"},
		},
		"Gang is missing in multiPoint": {
			edits: []string{"      - name: Gang\n      # Keeps members", "      # Keeps members"},
			wants: []string{"profiles[0].plugins.multiPoint", "Gang is missing at preEnqueue, reserve, permit"},
		},
		"Gang is missing at Permit": {
			edits: []string{"      - name: GangScheduling\n  pluginConfig:", "      - name: GangScheduling\n      - name: Gang\n  pluginConfig:"},
			wants: []string{"profiles[0].plugins.permit", "Gang is missing at permit"},
		},
		"Gang comes after preemption": {
			edits: []string{draFirst, "      - name: DRAAware\n      - name: Preemption\n"},
			wants: []string{"profiles[0].plugins.postFilter.enabled", "Gang must come before Preemption"},
		},
		"stock preemption": {edits: []string{ourPreemption, "", offPreemption, ""}},
		"Gang comes after stock preemption": {
			edits: []string{ourPreemption, "", offPreemption, "", draFirst, "      - name: DRAAware\n"},
			wants: []string{"profiles[0].plugins.postFilter.enabled", "Gang must come before DefaultPreemption"},
		},
		"Preemption beside DefaultPreemption": {
			edits: []string{offPreemption, ""},
			wants: []string{"profiles[0].plugins.multiPoint", "disable DefaultPreemption"},
		},
		"GangGate without Gang": {
			edits: []string{"      - name: Gang\n      # Keeps members", "      # Keeps members", "    queueSort:\n      enabled:\n      - name: Gang\n      disabled:\n      - name: PrioritySort\n", "",
				"    preFilter:\n      enabled:\n      - name: Gang\n", "", "    filter:\n      enabled:\n      - name: Gang\n", "", draFirst, "      - name: DRAAware\n",
				gangAtGroup, "", "    bind:\n      enabled:\n      - name: Gang\n", "", gangArgs + "      sources: [schedulinggroup, podgroup, volcano, yunikorn, kueue, leaderworkerset, raycluster, jobset, job, ganglabel]\n", ""},
			wants: []string{"profiles[0].plugins.multiPoint", "GangGate does nothing without Gang"},
		},
		"a profile called default-scheduler": {
			edits: []string{"- schedulerName: scheduler-plugins-scheduler", "- schedulerName: default-scheduler"},
			wants: []string{"profiles[1].schedulerName", `"default-scheduler"`, "--replace-default-scheduler"},
		},
		"a profile without a name": {
			edits: []string{"- schedulerName: dovetail\n  plugins: &plugins", "- plugins: &plugins", "- schedulerName: scheduler-plugins-scheduler\n  plugins: *plugins\n  pluginConfig: *pluginConfig\n", ""},
			wants: []string{"profiles[0].schedulerName", `"default-scheduler"`},
		},
		"a profile that replaces default-scheduler": {
			edits: []string{"- schedulerName: scheduler-plugins-scheduler", "- schedulerName: default-scheduler"},
			args:  []string{"--replace-default-scheduler"},
		},
		"arguments of a plugin that is not enabled": {
			edits: []string{"      - name: Topology\n        weight: 4\n", ""},
			wants: []string{"profiles[0].pluginConfig[1].name", `"Topology"`, "does not enable this plugin"},
		},
		"arguments of a misspelt plugin": {
			edits: []string{"  - name: Topology\n    args:", "  - name: Topologie\n    args:"},
			wants: []string{"profiles[0].pluginConfig[1].name", `"Topologie"`, "does not enable this plugin"},
		},
		"an argument out of range": {
			edits: []string{"      sources: [", "      maxReplans: 11\n      sources: ["},
			wants: []string{`"Gang"`, "maxReplans", "from 0 to 10"},
		},
		"an unknown field": {
			edits: []string{"resourceName: dovetail", "resourcename: dovetail"},
			wants: []string{"leaderElection.resourcename"},
		},
		"an election that cannot work": {
			args:  []string{"--leader-elect-lease-duration=1s"},
			wants: []string{"leaderElection.leaseDuration", "RenewDeadline"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, edited(t, test.edits...), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out := runScheduler(t, append([]string{"--dry-run-config", "--config", path}, test.args...)...)
			if wantCode := min(len(test.wants), 1); code != wantCode {
				t.Errorf("exit code %d, want %d", code, wantCode)
			}
			if len(test.wants) == 0 && !strings.Contains(out, "the configuration is valid") {
				t.Errorf("it does not say that the configuration is valid: %s", out)
			}
			for _, want := range test.wants {
				if !strings.Contains(out, want) {
					t.Errorf("the error does not mention %q: %s", want, out)
				}
			}
			if lines := strings.Count(strings.TrimSpace(out), "\n"); lines > 0 {
				t.Errorf("it prints %d lines, want one: %s", lines+1, out)
			}
		})
	}
}

// Without --config the built-in configuration is checked.
func TestDryRunOfTheBuiltInConfig(t *testing.T) {
	code, out := runScheduler(t, "--dry-run-config")
	if want := "the configuration is valid; profiles: dovetail, scheduler-plugins-scheduler\n"; code != 0 || out != want {
		t.Errorf("exit code %d and %q, want 0 and %q", code, out, want)
	}
}

// The same mistakes stop a start before the API server is asked anything.
func TestMistakesStopTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := edited(t, "- schedulerName: scheduler-plugins-scheduler", "- schedulerName: default-scheduler")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := runScheduler(t, "--config", path)
	if code != 1 || !strings.Contains(out, "the configuration is not valid: profiles[1].schedulerName") {
		t.Errorf("exit code %d and %q, want 1 and the field", code, out)
	}
}
