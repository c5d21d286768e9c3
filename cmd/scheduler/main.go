// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/plugins"
)

const (
	programName = "dovetail-scheduler"
	short       = "Dovetail places whole gangs of pods at once, or not at all"
	long        = `Dovetail is a secondary Kubernetes scheduler for AI clusters. Pods that say
"schedulerName: dovetail" and belong to a gang (a RayCluster, a PodGroup) are
placed together with their whole gang or not at all, in the smallest piece of
network that holds it. It runs beside the stock scheduler and shares its flags.

Without --config it runs with a built-in configuration: the profiles "dovetail"
and "scheduler-plugins-scheduler", leader election by the lease
dovetail-system/dovetail.`
)

func main() {
	os.Exit(cli.Run(newCommand()))
}

// newCommand returns the scheduler's command: upstream's flags and Dovetail's own, with
// Dovetail's plugins, name, version and default configuration.
func newCommand() *cobra.Command {
	cmd, _ := newCommandWith()
	return cmd
}

// newCommandWith returns the scheduler's command and the settings that its flags fill.
//
// It puts the command together from the exported parts of upstream (the stock
// kube-scheduler). Upstream's own command shows neither its options nor its scheduler, and
// both are needed: the options to check a configuration, the scheduler to learn when it
// leads.
func newCommandWith() (*cobra.Command, *settings) {
	s := &settings{upstream: options.NewOptions()}
	cmd := &cobra.Command{
		Use: programName, Short: short, Long: long, Args: cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error { return s.upstream.ComponentGlobalsRegistry.Set() },
		RunE:              func(cmd *cobra.Command, _ []string) error { return s.runCommand(cmd) },
	}
	sections := s.upstream.Flags
	verflag.AddFlags(sections.FlagSet("global"))
	globalflag.AddGlobalFlags(sections.FlagSet("global"), programName, logs.SkipLoggingConfigurationFlags())
	addOwnFlags(sections.FlagSet("dovetail"), s)
	for _, section := range sections.FlagSets {
		cmd.Flags().AddFlagSet(section)
	}
	cmd.Flags().Lookup("config").Usage = "The path to the configuration file. Without it, the built-in configuration is used."
	columns, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, *sections, columns)
	return cmd, s
}

// settings are the values that the command line sets.
type settings struct {
	// upstream are the options of the kube-scheduler.
	upstream *options.Options
	extras   plugins.Extras
	// dryRun checks the configuration and starts nothing.
	dryRun bool
	// replacesDefault allows a profile with the stock scheduler's name.
	replacesDefault bool
}

func (s *settings) runCommand(cmd *cobra.Command) error {
	flags := cmd.Flags()
	if printVersion(cmd.OutOrStdout(), flags) {
		return nil
	}
	verflag.PrintAndExitIfRequested()
	gates := s.upstream.ComponentGlobalsRegistry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(s.upstream.Logs, gates); err != nil {
		return fmt.Errorf("setting up the log: %w", err)
	}
	if s.dryRun {
		return s.dryRunConfig(cmd)
	}
	cliflag.PrintFlags(flags)
	ctx := server.SetupSignalContext()
	if err := s.prepare(ctx, flags); err != nil {
		return err
	}
	return s.run(ctx, flags, gates)
}

// prepare checks the configuration. It asks the API server which resources it serves, to set
// feature gates, and what it allows the scheduler.
func (s *settings) prepare(ctx context.Context, flags *pflag.FlagSet) error {
	config, err := s.configured(flags)
	if err != nil {
		return err
	}
	if err := s.checkConfig(flags, config); err != nil {
		return fmt.Errorf("the configuration is not valid: %w", err)
	}
	readElection(&config.LeaderElection, &s.extras)
	apiServer, err := connection(flags, config)
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	if err := settleGates(ctx, apiServer, utilfeature.DefaultMutableFeatureGate); err != nil {
		return fmt.Errorf("settling feature gates: %w", err)
	}
	return s.checkRights(ctx, apiServer, config)
}

// run runs the scheduler until the context ends. It returns an error unless the process
// exits first.
func (s *settings) run(ctx context.Context, flags *pflag.FlagSet, gates featuregate.FeatureGate) error {
	builtIn, err := useBuiltInConfig(flags)
	if err != nil {
		return fmt.Errorf("preparing the built-in configuration: %w", err)
	}
	defer builtIn.Close() //nolint:errcheck // it was only read
	if s.upstream.InformerName, err = cache.NewInformerName("kube-scheduler"); err != nil {
		return fmt.Errorf("naming the informers in metrics: %w", err)
	}
	leads := make(chan struct{})
	s.extras.Leads = leads
	config, sched, err := app.Setup(ctx, s.upstream, plugins.OptionsWith(&s.extras)...)
	if err != nil {
		return err
	}
	if err := checkPoints(config.ComponentConfig.Profiles, sched); err != nil {
		return err
	}
	if mutable, ok := gates.(featuregate.MutableFeatureGate); ok {
		mutable.AddMetrics()
	}
	s.upstream.ComponentGlobalsRegistry.AddMetrics()
	closeWhenScheduling(sched, leads)
	return app.Run(ctx, config, sched)
}

// closeWhenScheduling closes the channel when the scheduler asks for its first pod. The
// scheduler asks once it leads, or at once without leader election. A process that loses the
// lease exits.
func closeWhenScheduling(sched *scheduler.Scheduler, leads chan<- struct{}) {
	var once sync.Once
	next := sched.NextEntity
	sched.NextEntity = func(logger klog.Logger) (framework.QueuedEntityInfo, error) {
		once.Do(func() { close(leads) })
		return next(logger)
	}
}
