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
	// repo is a checkout that has the commits, branch the one on which they must be.
	repo, branch string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".cache/bench", "directory with the figures")
	flag.StringVar(&o.file, "ranges", "bench/ranges.yaml", "file with the ranges")
	flag.StringVar(&o.record, "record", "", "take the figures whose names begin with this for the ranges from now on")
	flag.StringVar(&o.command, "command", "", "the command that measured them")
	flag.StringVar(&o.repo, "repo", ".", "checkout that has the commit at which they were measured")
	flag.StringVar(&o.branch, "branch", "main", "branch that this commit must be on: others are rewritten, and nobody finds it again")
	flag.Parse()
	if err := o.run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench-check:", err)
		os.Exit(1)
	}
}

func (o options) run(w io.Writer) error {
	found, err := read(o.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(found) == 0 {
		return fmt.Errorf("nothing was measured: %s has no figures; run make bench-quality or make bench-perf first", o.dir)
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
	if len(v.left) > 0 {
		return fmt.Errorf("%d figures left their ranges", len(v.left))
	}
	return nil
}

func (o options) write(r ranges, found map[string]figure) error {
	if o.command == "" {
		return errors.New("-record wants -command: what measured the figures")
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
	if err := o.accountable(taken); err != nil {
		return err
	}
	r.record(taken, o.record, o.command)
	return os.WriteFile(o.file, []byte(r.text()), 0o644)
}

// leastRounds is how many rounds a speed must have been measured in: fewer say nothing about its spread.
const leastRounds = 3

// accountable says why figures cannot be recorded, nil if anybody can measure them again.
func (o options) accountable(figures map[string]figure) error {
	judged := map[string]error{}
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		f := figures[name]
		if strings.HasPrefix(name, "perf/") && f.Runs < leastRounds {
			return fmt.Errorf("%s was measured in %d rounds; its spread takes %d", name, f.Runs, leastRounds)
		}
		if _, known := judged[f.commit]; !known {
			judged[f.commit] = o.onBranch(f.commit)
		}
		if err := judged[f.commit]; err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// onBranch says why a commit is not one that stays.
func (o options) onBranch(commit string) error {
	if !ratios.Named(commit) {
		return fmt.Errorf("measured at %q, which is no commit: commit, and measure again", commit)
	}
	if out, err := exec.Command("git", "-C", o.repo, "merge-base", "--is-ancestor", commit, o.branch).CombinedOutput(); err != nil {
		return fmt.Errorf("measured at %s, which is not on branch %s: %w %s", commit, o.branch, err, out)
	}
	return nil
}
