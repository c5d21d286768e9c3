// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dovetail-dev/dovetail/bench/ratios"
)

var (
	binding = Comparison{Workload: "basic", Rounds: map[Profile][]Figures{
		Stock: {
			{Throughput: 10, Seconds: 30, Cycle: 6, AlgorithmMean: 9}, {Throughput: 30, Seconds: 30, Cycle: 8, AlgorithmMean: 9},
			{Throughput: 20, Seconds: 30, Cycle: 4, AlgorithmMean: 9},
		},
		Dovetail: {{Throughput: 40, Seconds: 20, Cycle: 2, AlgorithmMean: 4.5}, {Throughput: 42, Seconds: 20, Cycle: 2, AlgorithmMean: 4.5}},
		Oracle:   {{Throughput: 50}},
	}}
	refusing = Comparison{Workload: "infeasible", Rounds: map[Profile][]Figures{
		Stock: {{Refusal: 60000, AlgorithmMean: 20000}}, Dovetail: {{Refusal: 405, AlgorithmMean: 5}},
	}}
	restarting = Comparison{Workload: "restart", Rounds: map[Profile][]Figures{
		Stock:    {{Throughput: 3, FirstBind: 8, GangBound: 9, Refusal: 1}},
		Dovetail: {{FirstBind: 10, GangBound: 10}}, Oracle: {{FirstBind: 4, GangBound: 4.5}},
	}}
)

func TestLine(t *testing.T) {
	for want, c := range map[string]Comparison{
		"workload=basic stock=20.0 dovetail=41.0 oracle=50.0 ratio_stock=2.05 ratio_oracle=0.82":         binding,
		"workload=infeasible stock=0.05 dovetail=200.0 oracle=0.0 ratio_stock=4000.00 ratio_oracle=0.00": refusing,
		"workload=restart stock=7.5 dovetail=6 oracle=15.0 ratio_stock=0.80 ratio_oracle=0.40":           restarting,
	} {
		if got := c.Line(); got != want {
			t.Errorf("line is %q, want %q", got, want)
		}
	}
}

// The ratios must compare medians. Their spread must come from the rounds.
func TestRatios(t *testing.T) {
	got := binding.allRatios()
	want := []ratios.Ratio{
		{Name: "perf/basic/dovetail-over-stock", Value: 2.05, Spread: 1.8384776, Runs: 2},
		{Name: "perf/basic/dovetail-over-oracle", Value: 0.82, Runs: 1},
		{Name: "perf/basic/all-bound/stock-over-dovetail", Value: 1.5, Runs: 2},
		{Name: "perf/basic/algorithm/stock-over-dovetail", Value: 2, Runs: 2},
		{Name: "perf/basic/cycle/stock-over-dovetail", Value: 3, Spread: 0.70710678, Runs: 2},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Errorf("ratios (-want,+got):\n%s", diff)
	}
	if got := (Comparison{Workload: "alone", Rounds: map[Profile][]Figures{Dovetail: {{Throughput: 1}}}}).allRatios(); len(got) != 0 {
		t.Errorf("ratios without another scheduler: %v", got)
	}
}

// The table, the chart and the JSON file must have the same figures.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []Comparison{binding, refusing, restarting} {
		if err := c.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	for file, phrases := range map[string][]string{
		"basic.md":       {"| stock | 20.0 |", "Dovetail: 2.05 × stock, 0.82 × oracle. Speed-up over stock: algorithm 2.0, cycle 3.0, makespan 1.5."},
		"basic.svg":      {"basic, pods/s", ">41.0</text>"},
		"infeasible.md":  {"| refusal ms |", "| 0.05 |"},
		"infeasible.svg": {"infeasible, refusals/s", ">200.0</text>"},
		"restart.md":     {"| first bind s | gang bound s |", "rounds, restarts/min", "| 8.00 | 9.00 |"},
		"restart.svg":    {"restart, restarts/min", ">15.0</text>"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, phrase := range phrases {
			if !strings.Contains(string(text), phrase) {
				t.Errorf("%s lacks %q:\n%s", file, phrase, text)
			}
		}
	}
	all, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	const want = `| workload | stock | Dovetail | oracle | × stock | × oracle | makespan speed-up | algorithm speed-up |
|---|---|---|---|---|---|---|---|
| basic, pods/s | 20.0 | 41.0 | 50.0 | 2.05 | 0.82 | 1.5 | 2.0 |
| restart, restarts/min | 7.5 | 6 | 15.0 | 0.80 | 0.40 | – | – |
| infeasible, refusals/s | 0.05 | 200.0 | – | 4000.00 | – | – | – |
`
	if diff := cmp.Diff(want, ShortTable(all)); diff != "" {
		t.Errorf("table (-want,+got):\n%s", diff)
	}
	var written ratios.Report
	text, err := os.ReadFile(filepath.Join(dir, "basic.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &written); err != nil || len(written.Ratios) != 5 {
		t.Errorf("ratios in JSON: %v, %v", written.Ratios, err)
	}
}
