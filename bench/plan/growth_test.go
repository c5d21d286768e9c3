// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// BenchmarkGrowth reports two ratios, each of medians taken in turns in the same
// run: what ten times the nodes cost from cold (wanted: at most 12), and which
// part of the cold plan a replan after one change costs (wanted: at most 1/50).
// It reports; a loaded machine is no reason to fail.
func BenchmarkGrowth(b *testing.B) {
	for _, nodes := range []int{500, 5000} {
		small := plannable{fleet: fleet{nodes, 3, false}, gang: 64, roles: 1}
		large := small
		large.nodes *= 10
		b.Run(fmt.Sprintf("cold/nodes=%d..%d", small.nodes, large.nodes), func(b *testing.B) {
			a, c := coldPlan(b, small), coldPlan(b, large)
			for b.Loop() {
				ratio(b, c, a, 1, "x-of-a-tenth")
			}
		})
	}
	for _, size := range []int{8, 64} {
		p := plannable{fleet: fleet{5000, 3, false}, gang: size, roles: 1}
		b.Run("replan/"+p.String(), func(b *testing.B) {
			cold, r := coldPlan(b, p), newReplanner(b, p)
			for b.Loop() {
				ratio(b, cold, func() { r.step(b) }, 20, "replans-per-cold-plan")
			}
		})
	}
}

func coldPlan(b *testing.B, p plannable) func() {
	l, specs, g := p.layout(), p.specs(), p.request()
	return func() { p.mustBe(b, plan.Plan(build(b, l, specs).Freeze(), g, accept, plan.Options{})) }
}

// rounds is odd, so that a median is a measured value.
const rounds = 15

// ratio reports the median time of one function over another's, which runs so
// many times in each turn.
func ratio(b *testing.B, over, under func(), times int, unit string) {
	var a, c []time.Duration
	for range rounds {
		a = append(a, timed(over, 1))
		c = append(c, timed(under, times))
	}
	slices.Sort(a)
	slices.Sort(c)
	b.ReportMetric(float64(a[rounds/2])/float64(c[rounds/2]), unit)
}

func timed(f func(), times int) time.Duration {
	start := time.Now()
	for range times {
		f()
	}
	return time.Since(start) / time.Duration(times)
}
