// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

var (
	nodeCounts = []int{500, 5000, 50000, 100000}
	gangSizes  = []int{8, 64, 1000, 10000}
)

// BenchmarkWarm plans again and again on a fabric whose counts are known, as
// between two changes of the cluster.
func BenchmarkWarm(b *testing.B) {
	for _, nodes := range nodeCounts {
		for levels := 1; levels <= 4; levels++ {
			for _, full := range []bool{false, true} {
				f := fleet{nodes, levels, full}
				st := build(b, f.layout(), f.specs())
				for _, size := range gangSizes {
					for _, roles := range []int{1, 4} {
						b.Run(fmt.Sprintf("%s/gang=%d/roles=%d", f, size, roles), func(b *testing.B) {
							warm(b, f, st.Freeze(), gangOf(size, roles))
						})
					}
				}
			}
		}
	}
}

func warm(b *testing.B, f fleet, s *plan.Snapshot, g plan.Gang) {
	d := plan.Plan(s, g, accept, plan.Options{})
	report(b, d)
	b.ReportAllocs()
	for b.Loop() {
		plan.Plan(s, g, accept, plan.Options{})
	}
}

func accept(int, string, int) bool { return true }

// report prints the work that one plan takes and what came of it.
func report(b *testing.B, d plan.Decision) {
	placed := 0.0
	if d.Placed {
		placed = 1
	}
	b.ReportMetric(placed, "placed/op")
	b.ReportMetric(float64(d.Stats.FitsCalls), "fits/op")
	b.ReportMetric(float64(d.Stats.NodesTouched), "nodes/op")
	b.ReportMetric(float64(d.Stats.DomainsTried), "domains/op")
	b.ReportMetric(float64(d.Stats.Steps), "steps/op")
}
