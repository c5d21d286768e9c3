// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dovetail-dev/dovetail/bench/ratios"
)

// written writes the files into a new directory.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const from = `"taken": "2026-11-27T10:00:00Z", "commit": "abc", "cores": 2, `

var measured = map[string]string{
	"quality.json": `{` + from + `"ratios": [{"name": "quality/a", "value": 2, "spread": 0.1, "runs": 4}, {"name": "quality/new", "value": 1}]}`,
	"perf/full.json": `{"workload": "full", "rounds": {"stock": []}, ` + from + `"ratios": [
		{"name": "perf/full/dovetail-over-stock", "value": 40, "spread": 2, "runs": 3}]}`,
	"perf/tas.json": `{"taken": "2026-11-28T00:00:00Z", "commit": "def", "cores": 4, "ratios": [
		{"name": "perf/tas/dovetail-over-stock", "value": 8, "spread": 1, "runs": 3}]}`,
	"other.json": `{"tool": "something else"}`,
	"notes.md":   `# no figures`,
}

func TestRead(t *testing.T) {
	got, err := read(written(t, measured))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]figure{
		"quality/a":                     {ratios.Ratio{Name: "quality/a", Value: 2, Spread: 0.1, Runs: 4}, "2026-11-27", "abc", 2},
		"quality/new":                   {ratios.Ratio{Name: "quality/new", Value: 1, Runs: 1}, "2026-11-27", "abc", 2},
		"perf/full/dovetail-over-stock": {ratios.Ratio{Name: "perf/full/dovetail-over-stock", Value: 40, Spread: 2, Runs: 3}, "2026-11-27", "abc", 2},
		"perf/tas/dovetail-over-stock":  {ratios.Ratio{Name: "perf/tas/dovetail-over-stock", Value: 8, Spread: 1, Runs: 3}, "2026-11-28", "def", 4},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(figure{})); diff != "" {
		t.Errorf("figures (-want,+got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a broken file":             {"a.json": `{"ratios": `},
		"a figure unnamed":          {"a.json": `{"ratios": [{"value": 1}]}`},
		"one name twice":            {"a.json": `{"ratios": [{"name": "x", "value": 1}]}`, "b.json": `{"ratios": [{"name": "x", "value": 1}]}`},
		"a value that is no number": {"a.json": `{"ratios": [{"name": "x", "value": "high"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := read(written(t, files)); err == nil {
				t.Error("no error")
			}
		})
	}
}

const someRanges = `runs:
- command: make bench-quality
  date: "2026-11-27"
  commit: abc
  cores: 2
  figures:
    quality/a: {mean: 2.05, spread: 0.1, runs: 4}
    quality/gone: {mean: 1, spread: 0, runs: 1}
- command: make bench-perf
  date: "2026-11-26"
  commit: def
  cores: 2
  figures:
    perf/full/dovetail-over-stock: {mean: 60, spread: 1, runs: 3}
- command: make bench
  date: "2026-11-26"
  commit: def
  cores: 2
  figures:
    perf/b/dovetail-over-oracle: {mean: 0.9, spread: 0.1, runs: 3}
    perf/b/dovetail-over-stock: {mean: 60, spread: 1, runs: 3}
`

func TestCheck(t *testing.T) {
	dir := written(t, measured)
	files := written(t, map[string]string{"ranges.yaml": someRanges})
	o := options{dir: dir, file: filepath.Join(files, "ranges.yaml")}
	var out strings.Builder
	if err := o.run(&out); err == nil {
		t.Error("no error for a figure out of its range")
	}
	want := `out of range: perf/full/dovetail-over-stock is 40, was 60 and may be off by 3 (make bench-perf at def, 2026-11-26)
was not measured: quality/gone
was not measured: all 2 figures of make bench
has no range: perf/tas/dovetail-over-stock
has no range: quality/new
1 figures are in their ranges, 1 are out of range, 3 were not measured, 2 have no range
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want,+got):\n%s", diff)
	}
}

func TestAllowed(t *testing.T) {
	for name, tc := range map[string]struct {
		s    statistic
		runs int
		want float64
	}{
		"a spread is divided by the root of the runs": {statistic{Mean: 1, Spread: 0.2, Runs: 8}, 8, 0.3},
		"no spread leaves the floor":                  {statistic{Mean: 4, Runs: 1}, 1, 0.2},
		"a negative mean":                             {statistic{Mean: -4, Runs: 1}, 1, 0.2},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.s.allowed(tc.runs), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Errorf("allowed (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestNothingMeasuredIsAnError(t *testing.T) {
	for name, dir := range map[string]string{"no directory": filepath.Join(t.TempDir(), "none"), "an empty one": t.TempDir()} {
		if err := (options{dir: dir, file: "../ranges.yaml"}).run(&strings.Builder{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The ranges of the repository must parse, and every figure must have an origin.
func TestRangesOfTheRepository(t *testing.T) {
	r, err := load("../ranges.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range r.Runs {
		if run.Command == "" || run.Date == "" || run.Commit == "" || run.Cores == 0 || len(run.Figures) == 0 {
			t.Errorf("a run without its full origin: %+v", run)
		}
		for _, name := range slices.Sorted(maps.Keys(run.Figures)) {
			if s := run.Figures[name]; s.Runs < 1 || s.Spread < 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	if diff := cmp.Diff(r.text(), contents(t, "../ranges.yaml")); diff != "" {
		t.Errorf("ranges.yaml is not as -record writes it (-want,+got):\n%s", diff)
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
