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
)

// written leaves the files in a directory of the test.
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

var measured = map[string]string{
	"quality.json": `[{"name": "quality/a", "value": 2, "spread": 0.1, "runs": 4}, {"name": "quality/new", "value": 1}]`,
	"perf/tas.json": `{"workload": "tas", "rounds": {
		"stock": [{"podsPerSecond": 50}, {"podsPerSecond": 60}, {"podsPerSecond": 40}],
		"dovetail": [{"podsPerSecond": 400}, {"podsPerSecond": 300}, {"podsPerSecond": 500}], "oracle": []}}`,
	"perf/full.json": `{"workload": "full", "rounds": {"stock": [{"verdict": 80}], "dovetail": [{"verdict": 2}]}}`,
	"other.json":     `{"tool": "something else"}`,
	"notes.md":       `# no figures`,
}

func TestRead(t *testing.T) {
	got, err := read(written(t, measured))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]figure{
		"quality/a":                     {"quality/a", 2, 0.1, 4},
		"quality/new":                   {"quality/new", 1, 0, 1},
		"perf/tas/dovetail-over-stock":  {"perf/tas/dovetail-over-stock", 8, 2.56125, 3},
		"perf/full/dovetail-over-stock": {"perf/full/dovetail-over-stock", 40, 0, 1},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-5)); diff != "" {
		t.Errorf("figures (-want,+got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a broken file":       {"a.json": `[{"name": `},
		"a figure unnamed":    {"a.json": `[{"value": 1}]`},
		"one name twice":      {"a.json": `[{"name": "x", "value": 1}]`, "b.json": `[{"name": "x", "value": 1}]`},
		"a value that is not": {"a.json": `[{"name": "x", "value": "high"}]`},
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
`

func TestCheck(t *testing.T) {
	dir := written(t, measured)
	files := written(t, map[string]string{"ranges.yaml": someRanges})
	o := options{dir: dir, file: filepath.Join(files, "ranges.yaml")}
	var out strings.Builder
	if err := o.run(&out); err == nil {
		t.Error("a figure left its range, and there is no error")
	}
	want := `left its range: perf/full/dovetail-over-stock is 40, was 60 and may be off by 3.5 (make bench-perf at def, 2026-11-26)
was not measured: quality/gone
has no range: perf/tas/dovetail-over-stock
has no range: quality/new
1 figures are in their ranges, 1 left them, 1 were not measured, 2 have no range
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

// What is recorded is inside its range, and nothing else changed.
func TestRecord(t *testing.T) {
	files := written(t, map[string]string{"ranges.yaml": someRanges})
	o := options{dir: written(t, measured), file: filepath.Join(files, "ranges.yaml"), record: "quality/", command: "make bench-quality SEEDS=4"}
	var out strings.Builder
	if err := o.run(&out); err != nil {
		t.Fatal(err)
	}
	after, err := load(o.file)
	if err != nil {
		t.Fatal(err)
	}
	found, err := read(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	v := after.check(found)
	if v.inside != 2 || len(v.missing) != 0 || len(v.left) != 1 {
		t.Errorf("after recording: %+v", v)
	}
	var commands []string
	for _, run := range after.Runs {
		commands = append(commands, run.Command)
		if run.Command == o.command && (run.Commit == "" || run.Cores == 0 || run.Date == "") {
			t.Errorf("the run is not told: %+v", run)
		}
	}
	if diff := cmp.Diff([]string{"make bench-perf", o.command}, commands); diff != "" {
		t.Errorf("runs (-want,+got):\n%s", diff)
	}
}

func TestNothingMeasuredIsAnError(t *testing.T) {
	for name, dir := range map[string]string{"no directory": filepath.Join(t.TempDir(), "none"), "an empty one": t.TempDir()} {
		if err := (options{dir: dir, file: "../ranges.yaml"}).run(&strings.Builder{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The ranges in the repository can be read, and every figure says where it comes
// from.
func TestRangesOfTheRepository(t *testing.T) {
	r, err := load("../ranges.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range r.Runs {
		if run.Command == "" || run.Date == "" || run.Commit == "" || run.Cores == 0 || len(run.Figures) == 0 {
			t.Errorf("a run does not say all about itself: %+v", run)
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
