// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
	"github.com/spf13/cobra"
)

// newCommand returns the command with its subcommands.
func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "localcluster",
		Short: "A Kubernetes cluster of real processes with a simulated GPU fleet",
		Long: "localcluster runs etcd, kube-apiserver, kube-controller-manager, kube-scheduler, KWOK, the KubeRay operator and\n" +
			"Dovetail on this machine, on loopback only, with nodes and devices as the fleet's hardware would publish them.",
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(newUp(), newDown(), newBuild())
	return root
}

const upExamples = `  localcluster up
  localcluster up --fleet shape=ndh100v5,spines=4,leaves=4,nodes=8 --fleet shape=plain,nodes=100
  localcluster up --feature-gates GenericWorkload=true
  localcluster up --kuberay-batch-scheduler scheduler-plugins --dir /tmp/second`

// noFleet is the fleet of a cluster without nodes.
const noFleet = "none"

func newUp() *cobra.Command {
	var options localcluster.Options
	var fleets []string
	command := &cobra.Command{
		Use:     "up",
		Short:   "Build what is missing, start the cluster, and return when all of it is ready",
		Example: upExamples,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if !slices.Equal(fleets, []string{noFleet}) {
				var err error
				if options.Fleets, err = fleet.ParseAll(fleets); err != nil {
					return err
				}
			}
			options.Out = command.OutOrStdout()
			cluster, err := localcluster.Up(command.Context(), options)
			if err != nil {
				return err
			}
			printUse(command.OutOrStdout(), cluster)
			return nil
		},
	}
	flags := command.Flags()
	flags.StringArrayVar(&fleets, "fleet", []string{fleet.DefaultText}, fleetUsage())
	flags.StringVar(&options.FeatureGates, "feature-gates", "", "feature gates of all Kubernetes components, as in A=true,B=false; API versions that they need are served")
	flags.StringVar(&options.KubeRayBatchScheduler, "kuberay-batch-scheduler", "", "the KubeRay operator's batch scheduler, for instance scheduler-plugins")
	flags.StringSliceVar(&options.Without, "without", nil, "components to leave out: kuberay, dovetail, kube-scheduler, ...")
	flags.StringSliceVar(&options.With, "with", nil, "further components: jobset, dovetail-standby")
	addDir(command, &options.Dir)
	return command
}

func newDown() *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   "down",
		Short: "End the cluster, however it was started and whatever became of it",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if dir == "" {
				var err error
				if dir, err = localcluster.DefaultDir(); err != nil {
					return err
				}
			}
			return localcluster.Down(dir, command.OutOrStdout())
		},
	}
	addDir(command, &dir)
	return command
}

func newBuild() *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build every program of the cluster into .cache/bin",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return localcluster.Build(command.Context(), command.OutOrStdout())
		},
	}
}

func addDir(command *cobra.Command, dir *string) {
	command.Flags().StringVar(dir, "dir", "", "the cluster's directory (default .cache/cluster in the repository); clusters in different ones run side by side")
}

func fleetUsage() string {
	return fmt.Sprintf("nodes to simulate, repeatable: shape=S,spines=N,leaves=N,nodes=N[,name=..][,zone=..][,group=..] "+
		"with leaves of each spine, nodes of each leaf and group the Azure placement group; or %s; shapes: %s", noFleet, strings.Join(fleet.Shapes(), ", "))
}

func printUse(out io.Writer, cluster *localcluster.Cluster) {
	fmt.Fprintf(out, "\n  export KUBECONFIG=%s\n  %s get nodes -L %s,%s\n\n", cluster.Kubeconfig(), cluster.Binary("kubectl"), fleet.LabelSpine, fleet.LabelLeaf)
}
