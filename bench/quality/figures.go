// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"time"
)

// largeGang is the minimum number of GPUs of a large job: the GPUs of a leaf in the
// benchmark's fleet.
const largeGang = 64

// figure is one measurement of a contender's run.
type figure struct {
	key, title string
	of         func(s *sim, until time.Duration) float64
}

// figures lists all figures. Every table has all of them.
var figures = []figure{
	{"leaves", "leaf switches per gang", perGang(func(at footprint) (int, int) { return at.leaves, 1 })},
	{"spines", "spine switches per gang", perGang(func(at footprint) (int, int) { return at.spines, 1 })},
	{"leaves-over-fewest", "leaf switches, × fewest possible", perGang(func(at footprint) (int, int) { return at.leaves, at.fewestLeaves })},
	{"spines-over-fewest", "spine switches, × fewest possible", perGang(func(at footprint) (int, int) { return at.spines, at.fewestSpines })},
	{"nodes-over-fewest", "nodes, × fewest possible", perGang(func(at footprint) (int, int) { return at.nodes, at.fewestNodes })},
	{"paired", "NICs paired with a GPU of the pod", paired},
	{"fit-anywhere", "free GPUs on idle nodes", func(s *sim, _ time.Duration) float64 { return s.meter.idle / s.meter.free }},
	{"fit-leaf", "largest gang in a leaf, of what is free", func(s *sim, _ time.Duration) float64 { return s.meter.leafFit / s.meter.leafMost }},
	{"fit-spine", "largest gang in a spine, of what is free", func(s *sim, _ time.Duration) float64 { return s.meter.spineFit / s.meter.spineMost }},
	{"pairs-left", "free GPUs with a free NIC", func(s *sim, _ time.Duration) float64 { return s.meter.pairs / s.meter.free }},
	{"occupancy", "GPU utilization", func(s *sim, _ time.Duration) float64 { return s.meter.useful / s.meter.seconds / float64(s.gpus()) }},
	{"held", "GPUs held", func(s *sim, _ time.Duration) float64 { return s.meter.held / s.meter.seconds / float64(s.gpus()) }},
	{"wait", "mean wait, s", wait(0)},
	{"wait-large", "mean wait of large gangs, s", wait(largeGang)},
	{"wait-longest", "longest wait, s", longestWait},
	{"makespan", "makespan, s", makespan},
	{"never", "jobs that never start", func(s *sim, _ time.Duration) float64 { return float64(s.neverStarted()) }},
}

// perGang returns the ratio of two sums over all gangs that started.
func perGang(of func(footprint) (n, by int)) func(*sim, time.Duration) float64 {
	return func(s *sim, _ time.Duration) float64 {
		var n, by int
		for _, e := range s.jobs {
			if e.started && len(e.pods) > 1 {
				a, b := of(e.footprint)
				n, by = n+a, by+b
			}
		}
		return float64(n) / float64(by)
	}
}

func paired(s *sim, _ time.Duration) float64 {
	var nics, apart int
	for _, e := range s.jobs {
		if e.started {
			nics, apart = nics+e.footprint.nics, apart+e.footprint.unpaired
		}
	}
	return 1 - float64(apart)/float64(nics)
}

// wait returns the mean wait of jobs with at least that many GPUs. For a job that never
// starts, the wait ends when the last job of any contender ended, which is a lower bound.
func wait(gpus int) func(*sim, time.Duration) float64 {
	return func(s *sim, until time.Duration) float64 {
		var sum float64
		var n int
		for _, e := range s.jobs {
			if e.gpus() >= gpus {
				sum, n = sum+e.waited(until).Seconds(), n+1
			}
		}
		return sum / float64(n)
	}
}

func longestWait(s *sim, until time.Duration) float64 {
	var longest time.Duration
	for _, e := range s.jobs {
		longest = max(longest, e.waited(until))
	}
	return longest.Seconds()
}

func (e *entry) waited(until time.Duration) time.Duration {
	if e.started {
		return e.start - e.arrives
	}
	return until - e.arrives
}

// makespan returns the time from the first arrival to the last end. It is infinite if a job
// never starts.
func makespan(s *sim, _ time.Duration) float64 {
	if s.neverStarted() > 0 {
		return math.Inf(1)
	}
	return (s.lastEnd() - s.jobs[0].arrives).Seconds()
}

func (s *sim) neverStarted() int {
	n := 0
	for _, e := range s.jobs {
		if !e.started {
			n++
		}
	}
	return n
}

func (s *sim) lastEnd() time.Duration {
	var last time.Duration
	for _, e := range s.jobs {
		if e.ended {
			last = max(last, e.end)
		}
	}
	return last
}
