// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"maps"
	"slices"
	"time"
)

// The scheduler's metrics that are reported.
const (
	podAlgorithm    = "scheduler_scheduling_algorithm_duration_seconds"
	groupAlgorithm  = "scheduler_podgroup_scheduling_algorithm_duration_seconds"
	groupAttempt    = "scheduler_podgroup_scheduling_attempt_duration_seconds"
	podAttempt      = "scheduler_scheduling_attempt_duration_seconds"
	extensionPoints = "scheduler_framework_extension_point_duration_seconds"
)

// cyclePoints are the extension points at which a scheduler decides on a node.
var cyclePoints = []string{"PreFilter", "Filter", "PreScore", "Score"}

// collected has upstream's harness write those metrics, the same for every scheduler.
var collected = fields{"metrics": fields{
	podAlgorithm:    nil,
	groupAlgorithm:  nil,
	groupAttempt:    []fields{{"label": "result", "values": []string{"scheduled", "unschedulable"}}},
	podAttempt:      []fields{{"label": "result", "values": []string{"scheduled", "unschedulable"}}},
	extensionPoints: []fields{{"label": "extension_point", "values": append(slices.Clone(cyclePoints), "PostFilter", "Reserve", "Permit", "PreBind", "Bind", "PlacementGenerate")}},
}}

// Figures are what one run of a workload measured. Durations are in milliseconds where they do not say otherwise.
type Figures struct {
	// Throughput is the mean of pods bound in each second, as upstream's harness counts them.
	Throughput float64 `json:"podsPerSecond"`
	// Seconds is from the creation of the first pod until upstream's harness, which looks once a second, sees all bound.
	Seconds float64 `json:"seconds"`
	// AlgorithmP50, AlgorithmP99 and AlgorithmMean are of the scheduling algorithm's duration: of a PodGroup where there
	// are any, else of a pod.
	AlgorithmP50  float64 `json:"algorithmP50"`
	AlgorithmP99  float64 `json:"algorithmP99"`
	AlgorithmMean float64 `json:"algorithmMean"`
	// Cycle is the sum of the means of PreFilter, Filter, PreScore and Score.
	Cycle float64 `json:"cycle"`
	// Verdict is the mean duration of an attempt that found no place, with all that is written about it.
	Verdict float64 `json:"verdict,omitempty"`
	// CPUSeconds and MemoryMB are what the process used: scheduler, API server and some controllers.
	CPUSeconds float64 `json:"cpuSeconds"`
	MemoryMB   float64 `json:"memoryMB"`
}

// Figures reads them off the result.
func (r Result) Figures() Figures {
	f := Figures{
		Throughput: r.Throughput(),
		Seconds:    r.of("SchedulingDuration", "Duration", nil),
		CPUSeconds: r.CPU.Seconds(),
		MemoryMB:   float64(r.Memory) / (1 << 20),
	}
	algorithm, attempt := podAlgorithm, podAttempt
	if r.of(groupAlgorithm, "Average", nil) > 0 {
		algorithm, attempt = groupAlgorithm, groupAttempt
	}
	f.AlgorithmP50 = r.of(algorithm, "Perc50", nil)
	f.AlgorithmP99 = r.of(algorithm, "Perc99", nil)
	f.AlgorithmMean = r.of(algorithm, "Average", nil)
	f.Verdict = r.of(attempt, "Average", map[string]string{"result": "unschedulable"})
	for _, point := range cyclePoints {
		f.Cycle += r.of(extensionPoints, "Average", map[string]string{"extension_point": point})
	}
	return f
}

// Throughput is the average of pods scheduled in a second, 0 if the workload did not measure it.
func (r Result) Throughput() float64 { return r.of("SchedulingThroughput", "Average", nil) }

// of returns a figure of upstream's, 0 if there is none.
func (r Result) of(metric, bucket string, labels map[string]string) float64 {
	for _, item := range r.Items {
		matches := item.Labels["Metric"] == metric
		for label, value := range labels {
			matches = matches && item.Labels[label] == value
		}
		if matches {
			return item.Data[bucket]
		}
	}
	return 0
}

// Comparison is one workload with each scheduler, round by round.
type Comparison struct {
	Workload string                `json:"workload"`
	Case     string                `json:"case"`
	Note     string                `json:"note,omitempty"`
	Taken    time.Time             `json:"taken"`
	Commit   string                `json:"commit"`
	Machine  string                `json:"machine"`
	Rounds   map[Profile][]Figures `json:"rounds"`
}

// Median returns the median of one figure over the rounds, 0 without any.
func (c Comparison) Median(of Profile, figure func(Figures) float64) float64 {
	var values []float64
	for _, f := range c.Rounds[of] {
		values = append(values, figure(f))
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// Rate is what the ratios are of: pods bound in a second, or, where none can be, verdicts in a second. A verdict is a run of
// the scheduling algorithm: what is written afterwards, a condition on every pod, is the same for all.
func (c Comparison) Rate(of Profile) float64 {
	if c.verdicts() {
		if mean := c.Median(of, func(f Figures) float64 { return f.AlgorithmMean }); mean > 0 {
			return 1000 / mean
		}
		return 0
	}
	return c.Median(of, func(f Figures) float64 { return f.Throughput })
}

// verdicts says whether the workload is about pods for which there is no room.
func (c Comparison) verdicts() bool {
	refused := false
	for _, rounds := range c.Rounds {
		for _, f := range rounds {
			if f.Throughput > 0 {
				return false
			}
			refused = refused || f.Verdict > 0
		}
	}
	return refused
}

// Ratio is Dovetail's rate by that of another, 0 if that is unknown.
func (c Comparison) Ratio(to Profile) float64 {
	if base := c.Rate(to); base > 0 {
		return c.Rate(Dovetail) / base
	}
	return 0
}

// Profiles are the schedulers that were run, in the order of Profiles.
func (c Comparison) Profiles() []Profile {
	return slices.DeleteFunc(Profiles(), func(p Profile) bool { return !slices.Contains(slices.Collect(maps.Keys(c.Rounds)), p) })
}
