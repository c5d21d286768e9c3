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
	// usageMetric is what the process had used when its workload was done.
	usageMetric = "Usage"
	// problemsFile holds what the audit found.
	problemsFile = "problems.txt"
	// problemsTold is how many of its sentences an error repeats.
	problemsTold = 5
)

// closeAfterwards has a workload that passed looked at when all is measured: first what the process used, then where
// the pods are. Upstream's harness calls it before the workload, with its API server up until after the cleanup.
func (o order) closeAfterwards(tCtx ktesting.TContext) error {
	tb := tCtx.TB()
	tb.Cleanup(func() {
		if tb.Failed() {
			return
		}
		if err := o.close(tCtx); err != nil {
			tb.Error(err)
		}
	})
	return nil
}

func (o order) close(tCtx ktesting.TContext) error {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return fmt.Errorf("reading what the process used: %w", err)
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if err := leave(o.Dir, usageMetric, map[string]float64{"CPUSeconds": cpu.Seconds(), "MemoryMB": float64(usage.Maxrss) / 1024}); err != nil {
		return err
	}
	if o.Rules == nil {
		return nil
	}
	auditor := audit.New(*o.Rules)
	if err := auditor.Read(tCtx, tCtx.Client()); err != nil {
		return fmt.Errorf("reading what the workload left: %w", err)
	}
	problems := auditor.Problems()
	if len(problems) == 0 {
		return nil
	}
	text := strings.Join(problems, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(o.Dir, problemsFile), []byte(text), 0o600); err != nil {
		return err
	}
	return fmt.Errorf("the placements do not hold:\n%s", text)
}

// leave writes a figure where those of upstream's harness are.
func leave(dir, metric string, data map[string]float64) error {
	text, err := json.Marshal(upstream.DataItems{Version: "v1", DataItems: []upstream.DataItem{{
		Data: data, Labels: map[string]string{"Metric": metric},
	}}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, metric+".json"), text, 0o600)
}

// problems are the first sentences of the audit of a workload, "" if it found nothing or did not take place.
func problems(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, problemsFile))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if more := len(lines) - problemsTold; more > 0 {
		lines = append(lines[:problemsTold], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
