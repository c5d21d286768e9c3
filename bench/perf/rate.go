// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"fmt"
	"math"
	"slices"

	"github.com/dovetail-dev/dovetail/bench/ratios"
)

// measure is the rate by which schedulers are compared. A higher rate is better.
type measure struct {
	unit string
	rate func(Figures) float64
}

var (
	podsBound = measure{"pods/s", func(f Figures) float64 { return f.Throughput }}
	// A refusal is a run of the scheduling algorithm that finds no node. The writes after
	// it, a condition on every pod, are the same for all schedulers.
	refusals = measure{"refusals/s", func(f Figures) float64 { return inverse(f.AlgorithmMean / 1000) }}
	// A restart ends when the first pod is bound.
	restarts = measure{"restarts/min", func(f Figures) float64 { return inverse(f.FirstBind / 60) }}
)

func inverse(value float64) float64 {
	if value <= 0 {
		return 0
	}
	return 1 / value
}

// measure returns the measure of the workload.
func (c Comparison) measure() measure {
	switch {
	case c.any(func(f Figures) bool { return f.FirstBind > 0 }):
		return restarts
	case c.any(func(f Figures) bool { return f.Throughput > 0 }):
		return podsBound
	case c.any(func(f Figures) bool { return f.Refusal > 0 }):
		return refusals
	}
	return podsBound
}

func (c Comparison) any(is func(Figures) bool) bool {
	for _, rounds := range c.Rounds {
		if slices.ContainsFunc(rounds, is) {
			return true
		}
	}
	return false
}

// Rate is the rate by which Ratio compares schedulers. It is pods bound per second; for a
// workload without room, refusals per second; for a scheduler that starts in a full
// cluster, the inverse of the time to the first binding, per minute.
func (c Comparison) Rate(of Profile) float64 { return c.Median(of, c.measure().rate) }

// Ratio is Dovetail's rate divided by another scheduler's rate, or 0 if either is unknown.
func (c Comparison) Ratio(to Profile) float64 {
	if base := c.Rate(to); base > 0 {
		return c.Rate(Dovetail) / base
	}
	return 0
}

// Durations by which stock and Dovetail are also compared. The rate includes the time of
// the API server, etcd and binding, which is the same for both. With few large gangs the
// rate measures bursts, and the total time matters more.
var (
	allBound  = duration{"all-bound", func(f Figures) float64 { return f.Seconds }}
	cycle     = duration{"cycle", func(f Figures) float64 { return f.Cycle }}
	algorithm = duration{"algorithm", func(f Figures) float64 { return f.AlgorithmMean }}
)

type duration struct {
	name   string
	figure func(Figures) float64
}

// speedUp is stock's duration divided by Dovetail's, or 0 if either is unknown.
func (c Comparison) speedUp(d duration) float64 {
	if ours := c.Median(Dovetail, d.figure); ours > 0 {
		return c.Median(Stock, d.figure) / ours
	}
	return 0
}

// allRatios returns the ratios that make bench-check compares with their ranges. Their
// values are the results of Ratio and speedUp, computed from medians. Their spread is the
// standard deviation of the ratios of single rounds.
func (c Comparison) allRatios() []ratios.Ratio {
	var list []ratios.Ratio
	measured := c.measure()
	for _, other := range []Profile{Stock, Oracle} {
		list = addRatio(list, fmt.Sprintf("perf/%s/dovetail-over-%s", c.Workload, other), c.Ratio(other), c.pairs(Dovetail, other, measured.rate))
	}
	for _, d := range []duration{allBound, algorithm, cycle} {
		if d.name != cycle.name && measured.unit != podsBound.unit {
			continue // a refusal is a run of the algorithm, and few runs follow a restart
		}
		name := fmt.Sprintf("perf/%s/%s/stock-over-dovetail", c.Workload, d.name)
		list = addRatio(list, name, c.speedUp(d), c.pairs(Stock, Dovetail, d.figure))
	}
	return list
}

func addRatio(list []ratios.Ratio, name string, value float64, rounds []float64) []ratios.Ratio {
	if value <= 0 || len(rounds) == 0 {
		return list
	}
	return append(list, ratios.Ratio{Name: name, Value: value, Spread: deviation(rounds), Runs: len(rounds)})
}

// pairs returns the ratio of a figure of two schedulers in each round. Within a round the
// machine's load affects both.
func (c Comparison) pairs(of, by Profile, figure func(Figures) float64) []float64 {
	var list []float64
	for i := range min(len(c.Rounds[of]), len(c.Rounds[by])) {
		a, b := figure(c.Rounds[of][i]), figure(c.Rounds[by][i])
		if a > 0 && b > 0 {
			list = append(list, a/b)
		}
	}
	return list
}

// median returns the median, or 0 for no values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// deviation returns the standard deviation of a single value.
func deviation(values []float64) float64 {
	if len(values) < 2 {
		return 0
	}
	var mean, sum float64
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(values)-1))
}
