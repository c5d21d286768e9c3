// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dovetail-dev/dovetail/bench/ratios"
)

// Metrics of the scheduler in the reports.
const (
	podAlgorithm    = "scheduler_scheduling_algorithm_duration_seconds"
	groupAlgorithm  = "scheduler_podgroup_scheduling_algorithm_duration_seconds"
	groupAttempt    = "scheduler_podgroup_scheduling_attempt_duration_seconds"
	podAttempt      = "scheduler_scheduling_attempt_duration_seconds"
	extensionPoints = "scheduler_framework_extension_point_duration_seconds"
)

// cyclePoints are the extension points of the scheduler framework that filter and score
// nodes.
var cyclePoints = []string{"PreFilter", "Filter", "PreScore", "Score"}

// collected configures upstream's harness to write these metrics for every scheduler.
var collected = fields{"metrics": fields{
	podAlgorithm:    nil,
	groupAlgorithm:  nil,
	groupAttempt:    []fields{{"label": "result", "values": []string{"scheduled", "unschedulable"}}},
	podAttempt:      []fields{{"label": "result", "values": []string{"scheduled", "unschedulable"}}},
	extensionPoints: []fields{{"label": "extension_point", "values": append(slices.Clone(cyclePoints), "PostFilter", "Reserve", "Permit", "PreBind", "Bind", "PlacementGenerate")}},
}}

// Figures are the measurements of one run of a workload. Durations are in milliseconds
// unless the name has another unit.
type Figures struct {
	// Throughput is the mean number of pods bound per second, as upstream's harness counts
	// them.
	Throughput float64 `json:"podsPerSecond"`
	// Seconds is the time from the creation of the first pod until all pods are bound.
	// Upstream's harness checks that once a second.
	Seconds float64 `json:"seconds"`
	// AlgorithmP50, AlgorithmP99 and AlgorithmMean are durations of the scheduling
	// algorithm: for a PodGroup if the workload has PodGroups, otherwise for a pod.
	AlgorithmP50  float64 `json:"algorithmP50"`
	AlgorithmP99  float64 `json:"algorithmP99"`
	AlgorithmMean float64 `json:"algorithmMean"`
	// Cycle is the sum of the mean durations of PreFilter, Filter, PreScore and Score.
	Cycle float64 `json:"cycle"`
	// Refusal is the mean duration of an attempt that found no node, including its writes
	// to the API.
	Refusal float64 `json:"verdict,omitempty"`
	// Ready, FirstBind and GangBound are seconds from the start of a scheduler in a full cluster: until its caches are
	// filled, until the first waiting pod has a node, and until all pods of a gang of eight have nodes.
	Ready     float64 `json:"readySeconds,omitempty"`
	FirstBind float64 `json:"firstBindSeconds,omitempty"`
	GangBound float64 `json:"gangBoundSeconds,omitempty"`
	// CPUSeconds and MemoryMB are the resource usage of the process: scheduler, API server
	// and some controllers. MemoryMB is the maximum resident set size.
	CPUSeconds float64 `json:"cpuSeconds"`
	MemoryMB   float64 `json:"memoryMB"`
}

// Figures returns the figures of the result.
func (r Result) Figures() Figures {
	f := Figures{
		Throughput: r.Throughput(),
		Seconds:    r.of("SchedulingDuration", "Duration", nil),
		Ready:      r.of(restartMetric, "Ready", nil),
		FirstBind:  r.of(restartMetric, "First", nil),
		GangBound:  r.of(restartMetric, "Gang", nil),
		CPUSeconds: r.of(usageMetric, "CPUSeconds", nil),
		MemoryMB:   r.of(usageMetric, "MemoryMB", nil),
	}
	algorithm, attempt := podAlgorithm, podAttempt
	if r.of(groupAlgorithm, "Average", nil) > 0 {
		algorithm, attempt = groupAlgorithm, groupAttempt
	}
	f.AlgorithmP50 = r.of(algorithm, "Perc50", nil)
	f.AlgorithmP99 = r.of(algorithm, "Perc99", nil)
	f.AlgorithmMean = r.of(algorithm, "Average", nil)
	f.Refusal = r.of(attempt, "Average", map[string]string{"result": "unschedulable"})
	for _, point := range cyclePoints {
		f.Cycle += r.of(extensionPoints, "Average", map[string]string{"extension_point": point})
	}
	return f
}

// Throughput is the mean number of pods scheduled per second, or 0 if the workload did not
// measure it.
func (r Result) Throughput() float64 { return r.of("SchedulingThroughput", "Average", nil) }

// of returns one figure in the format of upstream's harness, or 0 if there is none.
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

// headline returns the main figure of a run, with its unit.
func (f Figures) headline() string {
	if f.FirstBind > 0 {
		return fmt.Sprintf("first bind after %.2f s, gang after %.2f s", f.FirstBind, f.GangBound)
	}
	return fmt.Sprintf("%7.1f pods/s", f.Throughput)
}

// Comparison holds the figures of one workload for each scheduler, by round.
type Comparison struct {
	Workload string                `json:"workload"`
	Case     string                `json:"case"`
	Note     string                `json:"note,omitempty"`
	Taken    time.Time             `json:"taken"`
	Commit   string                `json:"commit"`
	Cores    int                   `json:"cores"`
	Rounds   map[Profile][]Figures `json:"rounds"`
	// Ratios are the ratios that make bench-check compares with their ranges. Write sets
	// them.
	Ratios []ratios.Ratio `json:"ratios,omitempty"`
}

// Median returns the median of one figure over the rounds, or 0 without rounds.
func (c Comparison) Median(of Profile, figure func(Figures) float64) float64 {
	var values []float64
	for _, f := range c.Rounds[of] {
		values = append(values, figure(f))
	}
	return median(values)
}

// Profiles returns the schedulers of the comparison, in the order of the function Profiles.
func (c Comparison) Profiles() []Profile {
	return slices.DeleteFunc(Profiles(), func(p Profile) bool { return !slices.Contains(slices.Collect(maps.Keys(c.Rounds)), p) })
}
