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
	// Ready, FirstBind and GangBound are seconds from the start of a scheduler in a full cluster: until it knew what is
	// there, until the first of the pods that waited for it had a node, and until a gang of eight had.
	Ready     float64 `json:"readySeconds,omitempty"`
	FirstBind float64 `json:"firstBindSeconds,omitempty"`
	GangBound float64 `json:"gangBoundSeconds,omitempty"`
	// CPUSeconds and MemoryMB are what the process had used when all was measured: scheduler, API server and some
	// controllers. Memory is the most that was resident.
	CPUSeconds float64 `json:"cpuSeconds"`
	MemoryMB   float64 `json:"memoryMB"`
}

// Figures reads them off the result.
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

// headline is what a run is about, in words.
func (f Figures) headline() string {
	if f.FirstBind > 0 {
		return fmt.Sprintf("first bind after %.2f s, gang after %.2f s", f.FirstBind, f.GangBound)
	}
	return fmt.Sprintf("%7.1f pods/s", f.Throughput)
}

// Comparison is one workload with each scheduler, round by round.
type Comparison struct {
	Workload string                `json:"workload"`
	Case     string                `json:"case"`
	Note     string                `json:"note,omitempty"`
	Taken    time.Time             `json:"taken"`
	Commit   string                `json:"commit"`
	Cores    int                   `json:"cores"`
	Rounds   map[Profile][]Figures `json:"rounds"`
	// Ratios are what make bench-check compares with their ranges. Write fills them in.
	Ratios []ratios.Ratio `json:"ratios,omitempty"`
}

// Median returns the median of one figure over the rounds, 0 without any.
func (c Comparison) Median(of Profile, figure func(Figures) float64) float64 {
	var values []float64
	for _, f := range c.Rounds[of] {
		values = append(values, figure(f))
	}
	return median(values)
}

// Profiles are the schedulers that were run, in the order of Profiles.
func (c Comparison) Profiles() []Profile {
	return slices.DeleteFunc(Profiles(), func(p Profile) bool { return !slices.Contains(slices.Collect(maps.Keys(c.Rounds)), p) })
}
