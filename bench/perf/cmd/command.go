// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dovetail-dev/dovetail/bench/perf"
	"github.com/dovetail-dev/dovetail/bench/ratios"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// options are the values of the flags.
type options struct {
	rounds      int
	profiles    []string
	out         string
	cpuProfiles bool
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:          "perf",
		Short:        "Workloads of scheduler_perf with stock scheduling, Dovetail and the oracle",
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(newRun(), newShort(), newTable(), newList())
	return root
}

func newRun() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "run WORKLOAD...",
		Short: "Compare the schedulers by workloads, by their short names (list) or upstream's long names",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, workloads []string) error {
			return o.compare(command.Context(), workloads, command.OutOrStdout())
		},
	}
	o.addTo(command, 3)
	return command
}

func newShort() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "short",
		Short: "Compare the schedulers by the short set of workloads",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			var workloads []string
			for _, n := range perf.Workloads() {
				if n.Short {
					workloads = append(workloads, n.Name)
				}
			}
			return o.compare(command.Context(), workloads, command.OutOrStdout())
		},
	}
	o.addTo(command, 3)
	return command
}

func newTable() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "table",
		Short: "Print one table of all workloads that were run",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			all, err := perf.Read(o.out)
			if err != nil {
				return err
			}
			fmt.Fprint(command.OutOrStdout(), perf.ShortTable(all))
			return nil
		},
	}
	addOut(command, &o)
	return command
}

func newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the workloads that have short names",
		Args:  cobra.NoArgs,
		Run: func(command *cobra.Command, _ []string) {
			for _, n := range perf.Workloads() {
				fmt.Fprintf(command.OutOrStdout(), "%-16s %s\n", n.Name, n.Case)
			}
		},
	}
}

func (o *options) addTo(command *cobra.Command, rounds int) {
	command.Flags().IntVar(&o.rounds, "rounds", rounds, "how often each scheduler runs each workload; medians are reported")
	command.Flags().StringSliceVar(&o.profiles, "profiles", profileNames(), "the schedulers to run")
	command.Flags().BoolVar(&o.cpuProfiles, "cpu-profiles", false, "leave a CPU profile of each run beside its log")
	addOut(command, o)
}

func addOut(command *cobra.Command, o *options) {
	command.Flags().StringVar(&o.out, "out", filepath.Join(".cache", "bench"), "the directory of results")
}

func profileNames() []string {
	var all []string
	for _, p := range perf.Profiles() {
		all = append(all, string(p))
	}
	return all
}

// compare runs the workloads in sequence and prints their summary lines at the end.
func (o options) compare(ctx context.Context, workloads []string, out io.Writer) error {
	runner, root, own, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	var profiles []perf.Profile
	for _, name := range o.profiles {
		profiles = append(profiles, perf.Profile(name))
	}
	// The commit is read first, because the checkout may change during the run.
	began, built := time.Now(), ratios.Commit(ctx)
	var lines []string
	for _, workload := range workloads {
		found, c, err := perf.Find(root, own, workload)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s\n", found.Name, c.Name())
		rounds, err := runner.Compare(ctx, c, profiles, o.rounds, out)
		if err != nil {
			return err
		}
		comparison := perf.Comparison{
			Workload: found.Name, Case: c.Name(), Note: found.Note, Rounds: rounds,
			Taken: time.Now().UTC(), Commit: built, Cores: runtime.NumCPU(),
		}
		if err := comparison.Write(o.out); err != nil {
			return err
		}
		fmt.Fprintf(out, "\n%s\n", comparison.Table())
		lines = append(lines, comparison.Line())
	}
	fmt.Fprintf(out, "took %v\n%s\n", time.Since(began).Round(time.Second), strings.Join(lines, "\n"))
	return nil
}

func (o options) prepare(ctx context.Context) (runner perf.Runner, root, own string, err error) {
	if root, err = localcluster.ModuleDir(ctx, localcluster.ModuleKubernetes); err != nil {
		return runner, "", "", err
	}
	etcd, err := localcluster.Program(ctx, localcluster.Etcd, os.Stderr)
	if err != nil {
		return runner, "", "", err
	}
	if own, err = filepath.Abs(filepath.Join("bench", "perf", "workloads")); err != nil {
		return runner, "", "", err
	}
	logs, err := filepath.Abs(filepath.Join(o.out, "logs"))
	return perf.Runner{Etcd: etcd, Logs: logs, CPUProfiles: o.cpuProfiles}, root, own, err
}
