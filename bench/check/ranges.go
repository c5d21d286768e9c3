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

// ranges are the runs that the figures in bench/ranges.yaml came from.
type ranges struct {
	Runs []source `json:"runs"`
}

// source is one run of a benchmark and what it measured. The commit is that of the code that ran.
type source struct {
	Command string `json:"command"`
	Date    string `json:"date"`
	Commit  string `json:"commit"`
	Cores   int    `json:"cores"`
	// Figures by name.
	Figures map[string]statistic `json:"figures"`
}

// statistic is a mean, the standard deviation of a single run, and how many there
// were.
type statistic struct {
	Mean   float64 `json:"mean"`
	Spread float64 `json:"spread"`
	Runs   int     `json:"runs"`
}

const (
	// deviations is how many standard deviations of the difference between two
	// means a figure may be off: one in 370 is by chance.
	deviations = 3
	// floor is what every figure may be off, as a share of its mean: a spread that
	// was measured in a few runs of one machine says too little.
	floor = 0.05
)

// allowed is how far a figure of so many runs may be from the mean.
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

// verdict is what a check found.
type verdict struct {
	// inside counts figures in their ranges, absent those that were not measured.
	inside, absent int
	// left, missing and unknown are about the others, a line each.
	left, missing, unknown []string
}

// check compares figures with their ranges.
func (r ranges) check(found map[string]figure) verdict {
	var v verdict
	known := map[string]bool{}
	for _, run := range r.Runs {
		var missing []string
		for _, name := range slices.Sorted(maps.Keys(run.Figures)) {
			known[name] = true
			want, f := run.Figures[name], found[name]
			switch allowed := want.allowed(f.Runs); {
			case f.Name == "":
				missing = append(missing, name)
			case math.Abs(f.Value-want.Mean) > allowed:
				v.left = append(v.left, fmt.Sprintf("%s is %.4g, was %.4g and may be off by %.2g (%s at %s, %s)",
					name, f.Value, want.Mean, allowed, run.Command, run.Commit, run.Date))
			default:
				v.inside++
			}
		}
		v.absent += len(missing)
		if n := len(missing); n > 1 && n == len(run.Figures) {
			missing = []string{fmt.Sprintf("all %d figures of %s", n, run.Command)}
		}
		v.missing = append(v.missing, missing...)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if !known[name] {
			v.unknown = append(v.unknown, name)
		}
	}
	return v
}

func (v verdict) print(w io.Writer) {
	for _, line := range v.left {
		fmt.Fprintln(w, "left its range:", line)
	}
	for _, name := range v.missing {
		fmt.Fprintln(w, "was not measured:", name)
	}
	for _, name := range v.unknown {
		fmt.Fprintln(w, "has no range:", name)
	}
	fmt.Fprintf(w, "%d figures are in their ranges, %d left them, %d were not measured, %d have no range\n",
		v.inside, len(v.left), v.absent, len(v.unknown))
}

// record makes figures the ranges from now on, of all whose names begin with prefix.
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
		r.run(source{Command: command, Date: f.date, Commit: f.commit, Cores: f.cores}).Figures[name] = statistic{f.Value, f.Spread, f.Runs}
	}
	slices.SortFunc(r.Runs, func(a, b source) int {
		return cmp.Or(strings.Compare(a.Command, b.Command), strings.Compare(a.Date, b.Date), strings.Compare(a.Commit, b.Commit))
	})
}

// run returns the run that is like the one given, adding it if there is none.
func (r *ranges) run(like source) *source {
	for i := range r.Runs {
		if one := &r.Runs[i]; one.Command == like.Command && one.Date == like.Date && one.Commit == like.Commit && one.Cores == like.Cores {
			return one
		}
	}
	like.Figures = map[string]statistic{}
	r.Runs = append(r.Runs, like)
	return &r.Runs[len(r.Runs)-1]
}

const heading = `# What the ratios of the benchmarks were, and in which runs; make bench-check says
# what left its range. Written by go run ./bench/check -record: see its doc.go.
# spread is the standard deviation of a single run.
`

// text is the file, one line for each figure.
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
