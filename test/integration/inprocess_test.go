// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/configz"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"github.com/dovetail-dev/dovetail/pkg/plugins"
)

// extraPlugin is a test's plugin. use passes it the framework's handle at its creation.
type extraPlugin interface {
	fwk.Plugin
	use(fwk.Handle)
}

// runScheduler runs the scheduler in this process with an additional plugin.
func (e *env) runScheduler(t *testing.T, extra extraPlugin) {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: %q, qps: 1000, burst: 2000}
profiles:
- schedulerName: dovetail
  plugins:
    multiPoint:
      enabled: [{name: Gang}, {name: Topology}, {name: DRAAware}, {name: %s}]
      disabled: [{name: DynamicResources}]
    queueSort: {enabled: [{name: Gang}], disabled: [{name: PrioritySort}]}
    preFilter: {enabled: [{name: Gang}]}
    filter: {enabled: [{name: Gang}]}
    postFilter: {enabled: [{name: DRAAware}, {name: Gang}]}
`, e.Cluster.Kubeconfig(), extra.Name())
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatalf("writing the scheduler's configuration: %v", err)
	}
	// The command stops only on signals. Its two parts, Setup and Run, take a context.
	opts := options.NewOptions()
	flags := pflag.NewFlagSet("scheduler", pflag.ContinueOnError)
	for _, set := range opts.Flags.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse([]string{"--config", file, "--secure-port", "0"}); err != nil {
		t.Fatalf("reading the scheduler's flags: %v", err)
	}
	withExtra := append(plugins.Options(), app.WithPlugin(extra.Name(),
		func(_ context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			extra.use(handle)
			return extra, nil
		}))
	ctx, cancel := context.WithCancel(context.Background())
	config, scheduler, err := app.Setup(ctx, opts, withExtra...)
	if err != nil {
		cancel()
		t.Fatalf("setting up the scheduler: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, config, scheduler) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Logf("the scheduler ended: %v", err)
		}
		configz.Delete("componentconfig") // a process can register it only once
	})
}
