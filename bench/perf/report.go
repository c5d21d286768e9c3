// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/bench/ratios"
)

// Line returns the summary line of a comparison. The rate of a scheduler that did not run
// is 0.
func (c Comparison) Line() string {
	return fmt.Sprintf("workload=%s stock=%s dovetail=%s oracle=%s ratio_stock=%.2f ratio_oracle=%.2f",
		c.Workload, brief(c.Rate(Stock)), brief(c.Rate(Dovetail)), brief(c.Rate(Oracle)), c.Ratio(Stock), c.Ratio(Oracle))
}

// brief formats a rate with its significant digits.
func brief(rate float64) string {
	if rate > 0 && rate < 10 {
		return fmt.Sprintf("%.3g", rate)
	}
	return fmt.Sprintf("%.1f", rate)
}

// column is one figure in the result of Table.
type column struct {
	title string
	of    func(Figures) float64
	form  string
}

var columns = []column{
	{"pods/s", func(f Figures) float64 { return f.Throughput }, "%.1f"},
	{"all bound after s", func(f Figures) float64 { return f.Seconds }, "%.1f"},
	{"algorithm mean ms", func(f Figures) float64 { return f.AlgorithmMean }, "%.2f"},
	{"p50 ms", func(f Figures) float64 { return f.AlgorithmP50 }, "%.2f"},
	{"p99 ms", func(f Figures) float64 { return f.AlgorithmP99 }, "%.2f"},
	{"cycle ms", func(f Figures) float64 { return f.Cycle }, "%.3f"},
	{"refusal ms", func(f Figures) float64 { return f.Refusal }, "%.2f"},
	{"ready s", func(f Figures) float64 { return f.Ready }, "%.2f"},
	{"first bind s", func(f Figures) float64 { return f.FirstBind }, "%.2f"},
	{"gang bound s", func(f Figures) float64 { return f.GangBound }, "%.2f"},
	{"CPU s", func(f Figures) float64 { return f.CPUSeconds }, "%.1f"},
	{"memory MB", func(f Figures) float64 { return f.MemoryMB }, "%.0f"},
}

// Table returns a Markdown table with a row for each scheduler: medians, and the rate of
// every round. It omits columns without values.
func (c Comparison) Table() string {
	var b strings.Builder
	columns := slices.DeleteFunc(slices.Clone(columns), func(col column) bool {
		return !c.any(func(f Figures) bool { return col.of(f) > 0 })
	})
	fmt.Fprintf(&b, "%s (%s)", c.Workload, c.Case)
	if c.Note != "" {
		fmt.Fprintf(&b, ": %s", c.Note)
	}
	fmt.Fprint(&b, "\n\n| scheduler |")
	for _, col := range columns {
		fmt.Fprintf(&b, " %s |", col.title)
	}
	measured := c.measure()
	fmt.Fprintf(&b, " rounds, %s |\n|---|%s---|\n", measured.unit, strings.Repeat("---|", len(columns)))
	for _, p := range c.Profiles() {
		fmt.Fprintf(&b, "| %s |", p)
		for _, col := range columns {
			fmt.Fprintf(&b, " %s |", numberOrDash(col.form, c.Median(p, col.of)))
		}
		var rounds []string
		for _, f := range c.Rounds[p] {
			rounds = append(rounds, brief(measured.rate(f)))
		}
		fmt.Fprintf(&b, " %s |\n", strings.Join(rounds, ", "))
	}
	fmt.Fprintf(&b, "\nDovetail: %s × stock, %s × oracle. Speed-up over stock: algorithm %s, cycle %s, makespan %s. Medians; %d cores; commit %s; %s.\n",
		numberOrDash("%.2f", c.Ratio(Stock)), numberOrDash("%.2f", c.Ratio(Oracle)),
		numberOrDash("%.1f", c.speedUp(algorithm)), numberOrDash("%.1f", c.speedUp(cycle)), numberOrDash("%.1f", c.speedUp(allBound)),
		c.Cores, c.Commit, c.Taken.Format("2006-01-02"))
	return b.String()
}

func numberOrDash(form string, value float64) string {
	if value == 0 {
		return "–"
	}
	return fmt.Sprintf(form, value)
}

// Write writes the comparison into a directory, as JSON, table and chart.
func (c Comparison) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for suffix, content := range map[string]string{".md": c.Table(), ".svg": c.Chart()} {
		if err := os.WriteFile(filepath.Join(dir, c.Workload+suffix), []byte(content), 0o644); err != nil {
			return err
		}
	}
	c.Ratios = c.allRatios()
	return ratios.Write(filepath.Join(dir, c.Workload+".json"), c)
}

// Read returns the comparisons of a directory: first those of the workloads with short names,
// in the order of Workloads, then all others by name.
func Read(dir string) ([]Comparison, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []Comparison
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var c Comparison
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if c.Workload != "" && len(c.Rounds) > 0 { // other benchmarks write their figures here, too
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b Comparison) int { return position(a.Workload) - position(b.Workload) })
	return all, nil
}

func position(name string) int {
	if at := slices.Index(shortNames(), name); at >= 0 {
		return at
	}
	return len(named)
}

// ShortTable returns a table with a row for each comparison.
func ShortTable(all []Comparison) string {
	var b strings.Builder
	fmt.Fprint(&b, "| workload | stock | Dovetail | oracle | × stock | × oracle | makespan speed-up | algorithm speed-up |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range all {
		fmt.Fprintf(&b, "| %s, %s |", c.Workload, c.measure().unit)
		for _, p := range Profiles() {
			rate := brief(c.Rate(p))
			if c.Rate(p) == 0 {
				rate = "–"
			}
			fmt.Fprintf(&b, " %s |", rate)
		}
		fmt.Fprintf(&b, " %s | %s |", numberOrDash("%.2f", c.Ratio(Stock)), numberOrDash("%.2f", c.Ratio(Oracle)))
		for _, d := range []duration{allBound, algorithm} {
			of := c.speedUp(d)
			if c.measure().unit != podsBound.unit {
				of = 0 // the rate already compares the refusals or restarts
			}
			fmt.Fprintf(&b, " %s |", numberOrDash("%.1f", of))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}
