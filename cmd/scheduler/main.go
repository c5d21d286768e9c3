// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"

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

// newCommand returns upstream's command with Dovetail's plugins, name, version and default
// configuration.
func newCommand() *cobra.Command {
	cmd, _ := newCommandWith()
	return cmd
}

// newCommandWith also returns the extras that the flags set.
func newCommandWith() (*cobra.Command, *plugins.Extras) {
	extras := &plugins.Extras{}
	cmd := app.NewSchedulerCommand(plugins.OptionsWith(extras)...)
	cmd.Use, cmd.Short, cmd.Long = programName, short, long
	cmd.Flags().Lookup("config").Usage = "The path to the configuration file. Without it, the built-in configuration is used."
	cmd.Flags().Lookup("help").Usage = "help for " + programName

	addOwnFlags(cmd, extras)

	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if printVersion(cmd.OutOrStdout(), cmd.Flags()) {
			return nil
		}
		if err := readElection(cmd.Flags(), extras); err != nil {
			return fmt.Errorf("reading how replicas elect: %w", err)
		}
		if err := settleGates(cmd.Context(), cmd.Flags(), utilfeature.DefaultMutableFeatureGate); err != nil {
			return fmt.Errorf("settling feature gates: %w", err)
		}
		config, err := useBuiltInConfig(cmd.Flags())
		if err != nil {
			return fmt.Errorf("preparing the built-in configuration: %w", err)
		}
		return errors.Join(run(cmd, args), config.Close())
	}
	return cmd, extras
}
