// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var root = filepath.Join("..", "..")

func read(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func loaded(t *testing.T) results {
	t.Helper()
	r, err := load("results.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPageIsGenerated(t *testing.T) {
	text, err := render(loaded(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read(t, "bench", "RESULTS.md"), string(text)); diff != "" {
		t.Errorf("bench/RESULTS.md differs from results.yaml; run make generate (-want,+got):\n%s", diff)
	}
}

// TestReadmeHasTheSummary requires that README.md has the first table of RESULTS.md, with
// exactly these rows.
func TestReadmeHasTheSummary(t *testing.T) {
	r := loaded(t)
	want := []string{"| result | stock | Dovetail | commit |", "|---|---|---|---|"}
	for _, s := range r.Summary {
		row, err := r.summaryRow(s)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, row)
	}
	_, after, found := strings.Cut(read(t, "README.md"), want[0])
	if !found {
		t.Fatalf("README.md has no table %q", want[0])
	}
	table, _, _ := strings.Cut(want[0]+after, "\n\n")
	if diff := cmp.Diff(want, strings.Split(table, "\n")); diff != "" {
		t.Errorf("table of README.md (-want,+got):\n%s", diff)
	}
}

// recorded holds the fields of bench/ranges.yaml that this package reads.
type recorded struct {
	Runs []recordedRun `json:"runs"`
}

// recordedRun is one run of a benchmark.
type recordedRun struct {
	Command string `json:"command"`
	Commit  string `json:"commit"`
	Figures map[string]struct {
		Mean float64 `json:"mean"`
	} `json:"figures"`
}

// TestResultsAreThoseOfTheRanges compares every row with bench/ranges.yaml: ratios, commit
// and command. Workloads of one round have no ranges.
func TestResultsAreThoseOfTheRanges(t *testing.T) {
	var ranges recorded
	if err := yaml.Unmarshal([]byte(read(t, "bench", "ranges.yaml")), &ranges); err != nil {
		t.Fatal(err)
	}
	r := loaded(t)
	compared := 0
	for _, run := range ranges.Runs {
		if strings.HasPrefix(run.Command, "make bench-quality") {
			sameRun(t, run, r.Quality.Commit, r.Quality.Command)
			continue
		}
		for _, row := range append(append([]speed(nil), r.Short...), r.Long...) {
			compared += compareRatios(t, run, row)
		}
	}
	if compared < len(ranges.Runs) {
		t.Errorf("%d figures of %d runs were compared", compared, len(ranges.Runs))
	}
}

// compareRatios compares a row with a run that measured its workload. It returns the number
// of compared figures.
func compareRatios(t *testing.T, run recordedRun, row speed) int {
	t.Helper()
	compared := 0
	for figure, printed := range map[string]string{
		"dovetail-over-stock":           row.OfStock,
		"dovetail-over-oracle":          row.OfOracle,
		"all-bound/stock-over-dovetail": row.MakespanSpeedUp,
		"algorithm/stock-over-dovetail": row.AlgorithmSpeedUp,
	} {
		name := "perf/" + row.Workload + "/" + figure
		if statistic, has := run.Figures[name]; has {
			compared++
			rounded(t, name, printed, statistic.Mean)
		}
	}
	if compared > 0 {
		sameRun(t, run, row.Commit, row.Command)
	}
	return compared
}

func sameRun(t *testing.T, run recordedRun, commit, command string) {
	t.Helper()
	if commit == "" || !strings.HasPrefix(run.Commit, commit) || command != run.Command {
		t.Errorf("ranges.yaml has %q at commit %s; results.yaml has %q at %q", run.Command, run.Commit, command, commit)
	}
}

// rounded fails unless a printed number is a mean rounded to the printed digits. The mean
// itself is rounded to four digits.
func rounded(t *testing.T, name, printed string, mean float64) {
	t.Helper()
	number, err := strconv.ParseFloat(printed, 64)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	_, decimals, _ := strings.Cut(printed, ".")
	half := 0.5 * math.Pow10(-len(decimals))
	if math.Abs(number-mean) > half+0.0005*mean {
		t.Errorf("%s is %s, but ranges.yaml has %v", name, printed, mean)
	}
}
