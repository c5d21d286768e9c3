// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

type options struct {
	dir, file       string
	record, command string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".cache/bench", "directory with the figures")
	flag.StringVar(&o.file, "ranges", "bench/ranges.yaml", "file with the ranges")
	flag.StringVar(&o.record, "record", "", "take the figures whose names begin with this for the ranges from now on")
	flag.StringVar(&o.command, "command", "", "the command that measured them")
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
	commit, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return fmt.Errorf("reading the commit: %w", err)
	}
	from := source{Command: o.command, Date: time.Now().UTC().Format(time.DateOnly), Commit: strings.TrimSpace(string(commit)), Cores: runtime.NumCPU()}
	if err := r.record(found, o.record, from); err != nil {
		return err
	}
	return os.WriteFile(o.file, []byte(r.text()), 0o644)
}
