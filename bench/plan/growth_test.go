// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// BenchmarkGrowth reports two ratios. The first is the cost of a cold plan with ten times
// the nodes, relative to the cost with the original number (goal: at most 12). The second
// is the number of replans after one change that cost as much as a cold plan (goal: at
// least 50). It does not fail. Each ratio compares the least times of alternating rounds in
// the same run, which the load of the machine affects least.
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

// rounds is the number of timings of each of two functions.
const rounds = 25

// ratio reports the least time of one function divided by the least time of another, which
// runs the given number of times in each round. The garbage collector runs only between
// rounds: otherwise it would run in the longer function more often than that function's own
// garbage causes.
func ratio(b *testing.B, over, under func(), times int, unit string) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	a, c := time.Hour, time.Hour
	for range rounds {
		runtime.GC()
		a = min(a, timed(over))
		for range times {
			c = min(c, timed(under))
		}
	}
	b.ReportMetric(float64(a)/float64(c), unit)
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
