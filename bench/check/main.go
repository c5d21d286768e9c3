// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/bench/ratios"
)

type options struct {
	dir, file       string
	record, command string
	// repo is a checkout that has the commits of the figures. The commits must be on
	// branch.
	repo, branch string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".cache/bench", "directory with the figures")
	flag.StringVar(&o.file, "ranges", "bench/ranges.yaml", "file with the ranges")
	flag.StringVar(&o.record, "record", "", "make the figures with this name prefix the new ranges")
	flag.StringVar(&o.command, "command", "", "the command that measured the figures")
	flag.StringVar(&o.repo, "repo", ".", "checkout with the commit at which the figures were measured")
	flag.StringVar(&o.branch, "branch", "main", "branch that this commit must be on, because commits of other branches are rewritten")
	flag.Parse()
	if err := o.run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench-check:", err)
		os.Exit(1)
	}
}

func (o options) run(w io.Writer) error {
	found, err := read(o.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(found) == 0 {
		return fmt.Errorf("%s has no figures; run make bench-quality or make bench-perf first", o.dir)
	}
	if err != nil {
		return fmt.Errorf("reading figures: %w", err)
	}
	r, err := load(o.file)
	if err != nil && !(o.record != "" && errors.Is(err, fs.ErrNotExist)) {
		return fmt.Errorf("reading ranges: %w", err)
	}
	if o.record != "" {
		return o.write(r, found)
	}
	v := r.check(found)
	v.print(w)
	if len(v.outOfRange) > 0 {
		return fmt.Errorf("%d figures are out of their ranges", len(v.outOfRange))
	}
	return nil
}

func (o options) write(r ranges, found map[string]figure) error {
	if o.command == "" {
		return errors.New("-record requires -command, the command that measured the figures")
	}
	taken := map[string]figure{}
	for name, f := range found {
		if strings.HasPrefix(name, o.record) {
			taken[name] = f
		}
	}
	if len(taken) == 0 {
		return fmt.Errorf("no figure begins with %q", o.record)
	}
	if err := o.checkReproducible(taken); err != nil {
		return err
	}
	r.record(taken, o.record, o.command)
	return os.WriteFile(o.file, []byte(r.text()), 0o644)
}

// leastRounds is the minimum number of rounds of a speed (a figure of bench/perf). Fewer
// rounds are too few to estimate the figure's spread.
const leastRounds = 3

// checkReproducible returns an error if a figure cannot be measured again, because its code has
// no commit on the branch, or if a speed has too few rounds.
func (o options) checkReproducible(figures map[string]figure) error {
	checked := map[string]error{}
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		f := figures[name]
		if strings.HasPrefix(name, "perf/") && f.Runs < leastRounds {
			return fmt.Errorf("%s was measured in %d rounds; its spread requires %d", name, f.Runs, leastRounds)
		}
		if _, done := checked[f.commit]; !done {
			checked[f.commit] = o.checkOnBranch(f.commit)
		}
		if err := checked[f.commit]; err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// checkOnBranch returns an error if the commit is not on the branch.
func (o options) checkOnBranch(commit string) error {
	if !ratios.Named(commit) {
		return fmt.Errorf("measured at %q, which is not a commit: commit the changes and measure again", commit)
	}
	if out, err := exec.Command("git", "-C", o.repo, "merge-base", "--is-ancestor", commit, o.branch).CombinedOutput(); err != nil {
		return fmt.Errorf("measured at %s, which is not on branch %s: %w %s", commit, o.branch, err, out)
	}
	return nil
}
