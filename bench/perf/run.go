// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Runner runs workloads, one at a time.
type Runner struct {
	// Benchmark is the name of the binary's benchmark that calls Workload.
	Benchmark string
	// Etcd is the program; each workload has one of its own, without a TCP port for clients.
	Etcd string
	// Logs is the directory that keeps what each workload printed.
	Logs string
}

// Run is one workload with one scheduler.
type Run struct {
	Case    Case
	Profile Profile
	// Allocator is the one implementation of the DRA allocator to use; empty means the one that the feature gates lead to.
	Allocator string
}

// Item is a figure as upstream's harness writes it.
type Item struct {
	Data   map[string]float64 `json:"data"`
	Unit   string             `json:"unit"`
	Labels map[string]string  `json:"labels"`
}

// Result is what a workload that passed measured.
type Result struct {
	Items []Item
	Took  time.Duration
	// Log is the file with what it printed.
	Log string
}

// Throughput is the average of pods scheduled in a second, 0 if the workload did not measure it.
func (r Result) Throughput() float64 {
	for _, item := range r.Items {
		if item.Labels["Metric"] == "SchedulingThroughput" {
			return item.Data["Average"]
		}
	}
	return 0
}

// Do runs the workload until it passes or fails, or the context ends.
func (r Runner) Do(ctx context.Context, run Run) (Result, error) {
	contender, ok := contenders[run.Profile]
	if !ok {
		return Result{}, fmt.Errorf("no scheduler is called %q", run.Profile)
	}
	// A short name: etcd's socket is in it.
	dir, err := os.MkdirTemp("", "perf")
	if err != nil {
		return Result{}, err
	}
	result, err := r.inDir(ctx, run, contender, dir)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return result, fmt.Errorf("%s with %s: %w", run.Case.Name(), run.Profile, err)
	}
	return result, nil
}

func (r Runner) inDir(ctx context.Context, run Run, contender contender, dir string) (Result, error) {
	config, err := writeConfig(run.Case, contender, dir)
	if err != nil {
		return Result{}, err
	}
	text, err := json.Marshal(order{Config: config, Profile: run.Profile, Allocator: run.Allocator})
	if err != nil {
		return Result{}, err
	}
	logFile := filepath.Join(r.Logs, strings.Join([]string{run.Case.fileName(), string(run.Profile), run.Allocator}, "_")+".log")
	began := time.Now()
	err = r.process(ctx, run.Case.Dir, dir, logFile, string(text))
	result := Result{Took: time.Since(began), Log: logFile}
	if err != nil {
		return result, fmt.Errorf("%w; what it printed is in %s", err, logFile)
	}
	result.Items, err = readItems(dir)
	return result, err
}

// writeConfig writes the workload's configuration, and the scheduler's if it is not upstream's own, and returns the path
// of the first.
func writeConfig(c Case, contender contender, dir string) (string, error) {
	text, err := c.only(func(stockFile string) (string, error) {
		if contender.alter == nil {
			return "", nil
		}
		text, err := contender.schedulerConfig(stockFile)
		if err != nil {
			return "", err
		}
		name := filepath.Join(dir, "scheduler-config.yaml")
		return name, os.WriteFile(name, text, 0o600)
	})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, configFile)
	return name, os.WriteFile(name, text, 0o600)
}

// process runs this binary once more, in upstream's directory. It and the etcd that it starts are one process group,
// which ends as a whole.
func (r Runner) process(ctx context.Context, upstreamDir, dir, logFile, order string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.Logs, 0o755); err != nil {
		return err
	}
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-test.run=^$", "-test.bench=^"+r.Benchmark+"$", "-test.benchtime=1x", "-test.timeout=0",
		"-perf-scheduling-label-filter=", "-data-items-dir="+dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = upstreamDir, log, log
	cmd.Env = append(os.Environ(), orderEnv+"="+order, "TMPDIR="+dir,
		"PATH="+filepath.Dir(r.Etcd)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return errors.Join(cmd.Run(), log.Close())
}

// readItems reads the figures. A workload without any did not run.
func readItems(dir string) ([]Item, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var written struct{ DataItems []Item }
		if err := json.Unmarshal(text, &written); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		items = append(items, written.DataItems...)
	}
	if len(items) == 0 {
		return nil, errors.New("it measured nothing, so it did not run")
	}
	return items, nil
}
