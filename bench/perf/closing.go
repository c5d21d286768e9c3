// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	upstream "k8s.io/kubernetes/test/integration/scheduler_perf"
	"k8s.io/kubernetes/test/utils/client-go/ktesting"

	"github.com/dovetail-dev/dovetail/bench/perf/audit"
)

const (
	// usageMetric is the resource usage of the process at the end of its workload.
	usageMetric = "Usage"
	// problemsFile is the file with the problems that the audit found.
	problemsFile = "problems.txt"
	// maxProblems limits the number of problems in an error.
	maxProblems = 5
)

// finishAfterwards registers a cleanup function. After a workload that passed, this
// function records the resource usage and audits the placements. Upstream's harness calls
// finishAfterwards before the workload, and stops the API server after the cleanup
// functions.
func (o order) finishAfterwards(tCtx ktesting.TContext) error {
	tb := tCtx.TB()
	tb.Cleanup(func() {
		if tb.Failed() {
			return
		}
		if err := o.finish(tCtx); err != nil {
			tb.Error(err)
		}
	})
	return nil
}

func (o order) finish(tCtx ktesting.TContext) error {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return fmt.Errorf("reading the resource usage of the process: %w", err)
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if err := writeFigure(o.Dir, usageMetric, map[string]float64{"CPUSeconds": cpu.Seconds(), "MemoryMB": float64(usage.Maxrss) / 1024}); err != nil {
		return err
	}
	if o.Rules == nil {
		return nil
	}
	auditor := audit.New(*o.Rules)
	if err := auditor.Read(tCtx, tCtx.Client()); err != nil {
		return fmt.Errorf("reading the objects of the workload: %w", err)
	}
	problems := auditor.Problems()
	if len(problems) == 0 {
		return nil
	}
	text := strings.Join(problems, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(o.Dir, problemsFile), []byte(text), 0o600); err != nil {
		return err
	}
	return fmt.Errorf("the placements are invalid:\n%s", text)
}

// writeFigure writes a figure into the directory in which upstream's harness writes its
// figures.
func writeFigure(dir, metric string, data map[string]float64) error {
	text, err := json.Marshal(upstream.DataItems{Version: "v1", DataItems: []upstream.DataItem{{
		Data: data, Labels: map[string]string{"Metric": metric},
	}}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, metric+".json"), text, 0o600)
}

// problems returns the first sentences of a workload's audit. It returns "" if the audit
// found no problem or did not run.
func problems(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, problemsFile))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if more := len(lines) - maxProblems; more > 0 {
		lines = append(lines[:maxProblems], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
