// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// ranges is the content of bench/ranges.yaml.
type ranges struct {
	Runs []source `json:"runs"`
}

// source is one run of a benchmark and its figures. Commit is the commit of the measured code.
type source struct {
	Command string `json:"command"`
	Date    string `json:"date"`
	Commit  string `json:"commit"`
	Cores   int    `json:"cores"`
	// Figures are the figures by name.
	Figures map[string]statistic `json:"figures"`
}

// statistic is a mean, the standard deviation of a single run, and the number of runs.
type statistic struct {
	Mean   float64 `json:"mean"`
	Spread float64 `json:"spread"`
	Runs   int     `json:"runs"`
}

const (
	// deviations is the allowed difference of two means, in standard deviations of that
	// difference. Chance exceeds it once in 370 comparisons.
	deviations = 3
	// floor is the least allowed difference, as a fraction of the mean, because a few runs
	// on one machine underestimate the spread.
	floor = 0.05
)

// allowed returns the allowed difference between the mean and a figure of that many runs.
func (s statistic) allowed(runs int) float64 {
	chance := deviations * s.Spread * math.Sqrt(1/float64(max(1, s.Runs))+1/float64(max(1, runs)))
	return max(chance, floor*math.Abs(s.Mean))
}

func load(path string) (ranges, error) {
	var r ranges
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := yaml.UnmarshalStrict(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	seen := map[string]bool{}
	for _, run := range r.Runs {
		for name := range run.Figures {
			if seen[name] {
				return r, fmt.Errorf("%s: figure %s has two ranges", path, name)
			}
			seen[name] = true
		}
	}
	return r, nil
}

// checkResult is the result of a check.
type checkResult struct {
	// inRange counts the figures in their ranges; absent counts the ranges without a
	// measured figure.
	inRange, absent int
	// outOfRange, missing and unknown hold a line for each figure outside its range, each
	// range without a measured figure and each figure without a range.
	outOfRange, missing, unknown []string
}

// check compares figures with their ranges.
func (r ranges) check(found map[string]figure) checkResult {
	var v checkResult
	listed := map[string]bool{}
	for _, run := range r.Runs {
		var missing []string
		for _, name := range slices.Sorted(maps.Keys(run.Figures)) {
			listed[name] = true
			want, f := run.Figures[name], found[name]
			switch allowed := want.allowed(f.Runs); {
			case f.Name == "":
				missing = append(missing, name)
			case math.Abs(f.Value-want.Mean) > allowed:
				v.outOfRange = append(v.outOfRange, fmt.Sprintf("%s is %.4g, was %.4g and may be off by %.2g (%s at %s, %s)",
					name, f.Value, want.Mean, allowed, run.Command, run.Commit, run.Date))
			default:
				v.inRange++
			}
		}
		v.absent += len(missing)
		if n := len(missing); n > 1 && n == len(run.Figures) {
			missing = []string{fmt.Sprintf("all %d figures of %s", n, run.Command)}
		}
		v.missing = append(v.missing, missing...)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if !listed[name] {
			v.unknown = append(v.unknown, name)
		}
	}
	return v
}

func (v checkResult) print(w io.Writer) {
	for _, line := range v.outOfRange {
		fmt.Fprintln(w, "out of range:", line)
	}
	for _, name := range v.missing {
		fmt.Fprintln(w, "was not measured:", name)
	}
	for _, name := range v.unknown {
		fmt.Fprintln(w, "has no range:", name)
	}
	fmt.Fprintf(w, "%d figures are in their ranges, %d are out of range, %d were not measured, %d have no range\n",
		v.inRange, len(v.outOfRange), v.absent, len(v.unknown))
}

// record removes the ranges of all names that begin with prefix, and adds the figures as
// new ranges.
func (r *ranges) record(figures map[string]figure, prefix, command string) {
	kept := r.Runs[:0]
	for _, run := range r.Runs {
		maps.DeleteFunc(run.Figures, func(name string, _ statistic) bool { return strings.HasPrefix(name, prefix) })
		if len(run.Figures) > 0 {
			kept = append(kept, run)
		}
	}
	r.Runs = kept
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		f := figures[name]
		r.findOrAdd(source{Command: command, Date: f.date, Commit: f.commit, Cores: f.cores}).Figures[name] = statistic{f.Value, f.Spread, f.Runs}
	}
	slices.SortFunc(r.Runs, func(a, b source) int {
		return cmp.Or(strings.Compare(a.Command, b.Command), strings.Compare(a.Date, b.Date), strings.Compare(a.Commit, b.Commit))
	})
}

// findOrAdd returns the run with the command, date, commit and cores of like. It adds a
// missing run.
func (r *ranges) findOrAdd(like source) *source {
	for i := range r.Runs {
		if run := &r.Runs[i]; run.Command == like.Command && run.Date == like.Date && run.Commit == like.Commit && run.Cores == like.Cores {
			return run
		}
	}
	like.Figures = map[string]statistic{}
	r.Runs = append(r.Runs, like)
	return &r.Runs[len(r.Runs)-1]
}

const heading = `# The ratios of the benchmarks and the runs that measured them. make bench-check
# compares new ratios with them. go run ./bench/check -record writes this file.
# spread is the standard deviation of a single run.
`

// text returns the content of the file, with a line for each figure.
func (r ranges) text() string {
	var b strings.Builder
	b.WriteString(heading + "runs:\n")
	for _, run := range r.Runs {
		fmt.Fprintf(&b, "- command: %q\n  date: %q\n  commit: %q\n  cores: %d\n  figures:\n", run.Command, run.Date, run.Commit, run.Cores)
		for _, name := range slices.Sorted(maps.Keys(run.Figures)) {
			s := run.Figures[name]
			fmt.Fprintf(&b, "    %s: {mean: %.4g, spread: %.2g, runs: %d}\n", name, s.Mean, s.Spread, s.Runs)
		}
	}
	return b.String()
}
