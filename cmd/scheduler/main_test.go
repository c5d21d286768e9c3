// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	kubeconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/pkg/plugins"
)

// execute runs the command and returns its output.
func execute(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		t.Fatalf("%s %s: %v", programName, strings.Join(args, " "), err)
	}
	return out.String()
}

func TestVersionNamesBothVersions(t *testing.T) {
	got := execute(t, "--version")
	for _, want := range []string{"Dovetail " + version, "Kubernetes v1.37."} {
		if !strings.Contains(got, want) {
			t.Errorf("--version does not say %q: %s", want, got)
		}
	}
}

func TestHelpSpeaksOfDovetail(t *testing.T) {
	got := execute(t, "--help")
	for _, want := range []string{long, programName + " [flags]", "built-in configuration", "help for " + programName} {
		if !strings.Contains(got, want) {
			t.Errorf("--help does not say %q", want)
		}
	}
	if strings.Contains(got, "reference implementation") {
		t.Error("--help describes the stock scheduler")
	}
}

// parsed returns the command with its flags parsed, without running it.
func parsed(t *testing.T, args ...string) *cobra.Command {
	t.Helper()
	cmd := newCommand()
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// configBehind reads the configuration at the command's --config, like upstream.
func configBehind(t *testing.T, cmd *cobra.Command) *kubeconfig.KubeSchedulerConfiguration {
	t.Helper()
	pipe, err := useBuiltInConfig(cmd.Flags())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pipe.Close(); err != nil {
			t.Error(err)
		}
	})
	return loadConfig(t, cmd.Flag("config").Value.String())
}

func TestBuiltInConfigIsTheManifest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scheduler-config.yaml")
	if err := os.WriteFile(path, manifests.SchedulerConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(loadConfig(t, path), configBehind(t, parsed(t))); diff != "" {
		t.Errorf("configuration (-manifest,+built in):\n%s", diff)
	}
}

func TestBuiltInConfigTakesTheFlags(t *testing.T) {
	got := configBehind(t, parsed(t,
		"--kubeconfig=/somewhere/kubeconfig", "--kube-api-qps=7", "--kube-api-burst=8",
		"--kube-api-content-type=application/json", "--profiling=false", "--contention-profiling=false"))
	want := configBehind(t, parsed(t))
	want.ClientConnection.Kubeconfig = "/somewhere/kubeconfig"
	want.ClientConnection.QPS, want.ClientConnection.Burst = 7, 8
	want.ClientConnection.ContentType = "application/json"
	want.EnableProfiling, want.EnableContentionProfiling = false, false
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want,+got):\n%s", diff)
	}
}

func TestGivenConfigIsLeftAlone(t *testing.T) {
	cmd := parsed(t, "--config=/somewhere/config.yaml", "--kubeconfig=/ignored")
	if _, err := useBuiltInConfig(cmd.Flags()); err != nil {
		t.Fatal(err)
	}
	if got, want := cmd.Flag("config").Value.String(), "/somewhere/config.yaml"; got != want {
		t.Errorf("--config is %q, want %q", got, want)
	}
}

func TestConfigTooLargeForAPipeIsAnError(t *testing.T) {
	if _, err := pipe(make([]byte, maxPipe+1)); err == nil {
		t.Error("a pipe took more than it holds")
	}
}

// nowhere is a kubeconfig of a server that does not exist: making a scheduler sends no
// requests.
const nowhere = `apiVersion: v1
kind: Config
clusters: [{name: nowhere, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
users: [{name: nobody, user: {}}]
current-context: nowhere
`

// setUp makes a scheduler from a configuration, like the command.
func setUp(t *testing.T, text []byte) (*scheduler.Scheduler, error) {
	t.Helper()
	dir := t.TempDir()
	kubeconfigPath, configPath := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "config.yaml")
	text = bytes.Replace(text, []byte("clientConnection:\n"), []byte("clientConnection:\n  kubeconfig: "+kubeconfigPath+"\n"), 1)
	for path, content := range map[string][]byte{kubeconfigPath: []byte(nowhere), configPath: text} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	opts := options.NewOptions()
	opts.ConfigFile = configPath
	opts.SecureServing.BindPort = 0
	_, sched, err := app.Setup(ctx, opts, plugins.Options()...)
	return sched, err
}

func loadConfig(t *testing.T, path string) *kubeconfig.KubeSchedulerConfiguration {
	t.Helper()
	logger, _ := ktesting.NewTestContext(t)
	cfg, err := options.LoadConfigFromFile(logger, path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestProfilesPutThePlanFirst sets up the profiles with the real plugins. A plugin in the
// list of an extension point may still run after the in-tree plugins, so this checks the
// order.
func TestProfilesPutThePlanFirst(t *testing.T) {
	sched, err := setUp(t, manifests.SchedulerConfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dovetail", "scheduler-plugins-scheduler"} {
		profile, ok := sched.Profiles[name]
		if !ok {
			t.Fatalf("there is no profile %s", name)
		}
		list := profile.ListPlugins()
		for point, set := range map[string]kubeconfig.PluginSet{
			"queueSort": list.QueueSort, "preFilter": list.PreFilter, "filter": list.Filter, "postFilter": list.PostFilter,
		} {
			first := "Gang"
			if point == "postFilter" {
				first = "DRAAware" // it gives claims back, and Gang then ends the chain before preemption
			}
			if len(set.Enabled) == 0 || set.Enabled[0].Name != first {
				t.Errorf("profile %s: %s runs %v, want %s first", name, point, set.Enabled, first)
			}
		}
		if last := list.PostFilter.Enabled; len(last) < 3 || last[1].Name != "Gang" {
			t.Errorf("profile %s: postFilter runs %v, want Gang before preemption", name, last)
		}
		if len(list.QueueSort.Enabled) != 1 {
			t.Errorf("profile %s: queueSort runs %v, want Gang alone", name, list.QueueSort.Enabled)
		}
	}
}

// TestBadArgumentsStopTheStart checks that the error names the plugin and the field.
func TestBadArgumentsStopTheStart(t *testing.T) {
	tests := map[string]struct {
		old, bad string
		wants    []string
	}{
		"unknown field":       {"sources: [", "source: [", []string{`"Gang"`, "unknown field", "source"}},
		"value out of range":  {"sources: [", "maxReplans: 11\n      sources: [", []string{`"Gang"`, "maxReplans", "from 0 to 10"}},
		"unknown preset":      {"preset: topograph", "preset: nonsense", []string{`"Topology"`, "preset", "nonsense"}},
		"duplicate field":     {"preset: topograph", "preset: topograph\n      preset: gke", []string{"preset"}},
		"arguments of others": {"preset: topograph", "kind: GangArgs", []string{`"Topology"`, "kind", "GangArgs"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := bytes.Replace(manifests.SchedulerConfig, []byte(test.old), []byte(test.bad), 1)
			if bytes.Equal(text, manifests.SchedulerConfig) {
				t.Fatalf("the manifest has no %q", test.old)
			}
			_, err := setUp(t, text)
			if err == nil {
				t.Fatal("the scheduler started")
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not mention %q: %v", want, err)
				}
			}
		})
	}
}
