// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"cmp"
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

	"github.com/dovetail-dev/dovetail/bench/perf/audit"
)

// Runner runs workloads, one at a time.
type Runner struct {
	// Benchmark is the name of the benchmark in which a test binary calls Workload to run a
	// workload. It is empty for a command, whose main calls Serve instead.
	Benchmark string
	// Etcd is the path of the etcd program. Each workload starts its own etcd, without a
	// TCP port for clients.
	Etcd string
	// Logs is the directory for the output of each workload.
	Logs string
	// CPUProfiles is true if each workload writes a CPU profile of its measured part next
	// to its log.
	CPUProfiles bool
}

// Run is one workload with one scheduler.
type Run struct {
	Case    Case
	Profile Profile
	// Allocator is the implementation of the DRA allocator. If it is empty, the feature
	// gates choose.
	Allocator string
	// Audit makes the run fail if its placements are invalid: see package audit.
	Audit bool
	// Gangs makes the pods of each createPods operation one gang.
	Gangs bool
}

// order returns the input of the run's process, which reads its configuration from dir and
// writes its figures there.
func (r Run) order(config, dir string) order {
	o := order{Config: config, Dir: dir, Profile: r.Profile, Allocator: r.Allocator, Publish: r.Case.Suite == ownSuite}
	if r.Audit {
		// Dovetail's own workloads delete no pods.
		o.Rules = &audit.Rules{AllBound: r.Case.Settles, NoDeletions: r.Case.Settles || r.Case.Suite == ownSuite, Labelled: r.Profile != Stock}
	}
	if r.Case.Has(restartLabel) {
		o.Restart = filepath.Join(dir, schedulerFile)
	}
	return o
}

// Item is a figure as upstream's harness writes it.
type Item struct {
	Data   map[string]float64 `json:"data"`
	Unit   string             `json:"unit"`
	Labels map[string]string  `json:"labels"`
}

// Result is the result of a workload that passed.
type Result struct {
	Items []Item
	Took  time.Duration
	// Log is the file with the output of the workload's process.
	Log string
}

// Do runs the workload until it passes or fails, or the context ends.
func (r Runner) Do(ctx context.Context, run Run) (Result, error) {
	contender, ok := contenders[run.Profile]
	if !ok {
		return Result{}, fmt.Errorf("no scheduler is called %q", run.Profile)
	}
	// The name must be short, because the path of etcd's socket contains it.
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
	config, err := writeConfig(run, contender, dir)
	if err != nil {
		return Result{}, err
	}
	text, err := json.Marshal(run.order(config, dir))
	if err != nil {
		return Result{}, err
	}
	parts := []string{run.Case.fileName(), string(run.Profile), run.Allocator}
	if run.Gangs {
		parts = append(parts, "gangs")
	}
	logFile := filepath.Join(r.Logs, strings.Join(parts, "_")+".log")
	began := time.Now()
	err = r.process(ctx, run.Case.Dir, dir, logFile, string(text))
	result := Result{Took: time.Since(began), Log: logFile}
	if found := problems(dir); err != nil && found != "" {
		return result, fmt.Errorf("its placements are invalid: %s; see %s", found, logFile)
	}
	if err != nil {
		return result, fmt.Errorf("%w; see %s", err, logFile)
	}
	if err := r.keepProfiles(dir, logFile); err != nil {
		return result, err
	}
	result.Items, err = readItems(dir)
	return result, err
}

// keepProfiles copies the workload's CPU profile to the directory of its log.
func (r Runner) keepProfiles(dir, logFile string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*cpu.prof"))
	if err != nil || len(files) == 0 {
		return err
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(logFile, ".log")+".cpu.prof", text, 0o644)
}

// schedulerFile is the configuration file of the measured scheduler, if it is not
// upstream's own.
const schedulerFile = "scheduler-config.yaml"

// writeConfig writes the workload's configuration and returns its path. It also writes the
// scheduler's configuration, unless the run can use the one of scheduler_perf as it is.
func writeConfig(run Run, contender contender, dir string) (string, error) {
	c := run.Case
	alter := func(test, workload fields) error {
		test["metricsCollectorConfig"] = collected
		if run.Gangs {
			return c.asGangs(test, workload, dir)
		}
		return nil
	}
	text, err := c.only(func(stockFile string, gates map[string]bool) (string, error) {
		name := filepath.Join(dir, schedulerFile)
		switch {
		case c.Has(restartLabel): // upstream's harness keeps the scheduler that the workload names
			return "", contender.writeSchedulerConfig(name, "", gates)
		case contender.alter == nil:
			return "", nil
		}
		return name, contender.writeSchedulerConfig(name, stockFile, gates)
	}, alter)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, configFile)
	return name, os.WriteFile(name, text, 0o600)
}

// process runs this binary again, in the workload's directory. The process and its etcd are
// in one process group, which is killed as a whole.
func (r Runner) process(ctx context.Context, workloadDir, dir, logFile, order string) error {
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
	cmd := exec.CommandContext(ctx, self, "-test.run=^$", "-test.bench=^"+cmp.Or(r.Benchmark, serveName)+"$", "-test.benchtime=1x", "-test.timeout=0",
		"-perf-scheduling-label-filter=", "-data-items-dir="+dir, fmt.Sprintf("-perf-cpuprofile=%v", r.CPUProfiles))
	cmd.Dir, cmd.Stdout, cmd.Stderr = workloadDir, log, log
	cmd.Env = append(os.Environ(), orderEnv+"="+order, "TMPDIR="+dir,
		"PATH="+filepath.Dir(r.Etcd)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return errors.Join(cmd.Run(), log.Close())
}

// readItems reads the figures. It returns an error if there are none, because the workload
// then did not run.
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
		return nil, errors.New("the workload did not run: it wrote no figures")
	}
	return items, nil
}
