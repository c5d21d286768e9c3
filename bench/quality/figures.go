// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"time"
)

// largeGang is the GPUs from which a job counts as large: a leaf of the bench's
// fleet.
const largeGang = 64

// figure is one thing that is measured of a contender's run.
type figure struct {
	key, title string
	of         func(s *sim, until time.Duration) float64
}

// figures are all there are; no table leaves one out.
var figures = []figure{
	{"leaves", "leaves a gang", perGang(func(at spot) (int, int) { return at.leaves, 1 })},
	{"spines", "spines a gang", perGang(func(at spot) (int, int) { return at.spines, 1 })},
	{"leaves-over-fewest", "leaves, of the fewest", perGang(func(at spot) (int, int) { return at.leaves, at.fewestLeaves })},
	{"spines-over-fewest", "spines, of the fewest", perGang(func(at spot) (int, int) { return at.spines, at.fewestSpines })},
	{"nodes-over-fewest", "nodes, of the fewest", perGang(func(at spot) (int, int) { return at.nodes, at.fewestNodes })},
	{"paired", "NICs beside their GPU", paired},
	{"fit-anywhere", "free GPUs on idle nodes", func(s *sim, _ time.Duration) float64 { return s.meter.whole / s.meter.free }},
	{"fit-leaf", "largest gang in a leaf, of what is free", func(s *sim, _ time.Duration) float64 { return s.meter.leafFit / s.meter.leafMost }},
	{"fit-spine", "largest gang in a spine, of what is free", func(s *sim, _ time.Duration) float64 { return s.meter.spineFit / s.meter.spineMost }},
	{"pairs-left", "free GPUs with a free NIC", func(s *sim, _ time.Duration) float64 { return s.meter.pairs / s.meter.free }},
	{"occupancy", "GPUs that work", func(s *sim, _ time.Duration) float64 { return s.meter.useful / s.meter.seconds / float64(s.gpus()) }},
	{"held", "GPUs that are held", func(s *sim, _ time.Duration) float64 { return s.meter.held / s.meter.seconds / float64(s.gpus()) }},
	{"wait", "mean wait, s", wait(0)},
	{"wait-large", "mean wait of large gangs, s", wait(largeGang)},
	{"wait-longest", "longest wait, s", longestWait},
	{"makespan", "makespan, s", makespan},
	{"never", "jobs that never start", func(s *sim, _ time.Duration) float64 { return float64(s.never()) }},
}

// perGang is the sum of one number over the sum of another, over all gangs that
// started.
func perGang(of func(spot) (n, by int)) func(*sim, time.Duration) float64 {
	return func(s *sim, _ time.Duration) float64 {
		var n, by int
		for _, e := range s.jobs {
			if e.started && len(e.pods) > 1 {
				a, b := of(e.spot)
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
			nics, apart = nics+e.spot.nics, apart+e.spot.unpaired
		}
	}
	return 1 - float64(apart)/float64(nics)
}

// wait is the mean over jobs of so many GPUs. One that never starts counts as
// waiting until the last job of any contender ended, which is too little.
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

// makespan is from the first arrival to the last end; infinite if a job never
// ends.
func makespan(s *sim, _ time.Duration) float64 {
	if s.never() > 0 {
		return math.Inf(1)
	}
	return (s.lastEnd() - s.jobs[0].arrives).Seconds()
}

func (s *sim) never() int {
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
