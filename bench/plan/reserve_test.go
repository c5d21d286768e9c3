// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// tenants is a full fleet: four occupants take two pairs of devices each of every node.
// Occupants end at a pseudo-random time of their own, in 1..20000, except every tenth, whose
// end is unknown if some is true.
func tenants(f fleet, some bool) []plan.Occupant {
	var out []plan.Occupant
	state := uint64(20261130)
	for i := range f.nodes {
		for k := range 4 {
			state = state*6364136223846793005 + 1442695040888963407
			o := plan.Occupant{Name: fmt.Sprintf("o-%06d-%d", i, k), Ends: int64(1 + state>>33%20000)}
			if some && len(out)%10 == 0 {
				o.Ends = 0
			}
			u := plan.Usage{Node: fmt.Sprintf("node-%06d", i), Resources: []int64{8000, 2 << 35, 1}, Units: make([]plan.Unit, 8)}
			for unit := 2 * k; unit < 2*k+2; unit++ {
				u.Units[unit].Free = []int{1, 1}
			}
			o.Uses = []plan.Usage{u}
			out = append(out, o)
		}
	}
	return out
}

// occupiedBy returns the nodes of a fleet without free devices.
func occupiedBy(f fleet) []plan.NodeSpec {
	specs := f.specs()
	for i := range specs {
		specs[i].Free = []int64{64000, 1644 << 30, 106}
		specs[i].Units = units[false]
	}
	return specs
}

// BenchmarkReserve finds the earliest start of a gang on 5,000 full nodes with 20,000
// occupants. The members of the gang each take a pair of devices, or a whole node of one
// leaf, or more than there is.
func BenchmarkReserve(b *testing.B) {
	f := fleet{5000, 3, false}
	whole := func(members int, required string) plan.Gang {
		return plan.Gang{Name: "bench/gang", Required: required, Roles: []plan.Role{role("worker", members, pairNeed(8))}}
	}
	for _, c := range []struct {
		name   string
		gang   plan.Gang
		some   bool
		placed bool
	}{
		{"gang=100/pairs", gangOf(100, 1), false, true},
		{"gang=100/roles=4", gangOf(100, 4), false, true},
		{"gang=100/whole", whole(100, ""), false, true},
		{"gang=24/whole/one-leaf", whole(24, "leaf"), false, true},
		{"gang=24/whole/one-leaf/some-without-end", whole(24, "leaf"), true, true},
		{"gang=1000/whole", whole(1000, ""), false, true},
		{"gang=101/whole/one-leaf/never", whole(101, "leaf"), false, false},
	} {
		b.Run("nodes=5000/occupants=20000/"+c.name, func(b *testing.B) {
			s, occupants := build(b, f.layout(), occupiedBy(f)).Freeze(), tenants(f, c.some)
			reserveOnce(b, s, c.gang, occupants, c.placed)
			b.ReportAllocs()
			plans, fits := 0, 0
			for b.Loop() {
				r := reserveOnce(b, s, c.gang, occupants, c.placed)
				plans, fits = plans+r.Plans, fits+r.Stats.FitsCalls
			}
			b.ReportMetric(float64(plans)/float64(b.N), "plans/op")
			b.ReportMetric(float64(fits)/float64(b.N), "fits/op")
		})
	}
}

// reserveOnce reserves, and asserts that the gang can start, later than now, or never can.
func reserveOnce(b *testing.B, s *plan.Snapshot, g plan.Gang, occupants []plan.Occupant, placed bool) plan.Reservation {
	r := plan.Reserve(s, g, occupants, func([]int, int, string, int) bool { return true }, plan.Options{})
	if r.Decision.Placed != placed || placed != (r.Start > 0) || !r.Stats.Proven {
		b.Fatalf("start %d, proven %v: %s", r.Start, r.Stats.Proven, r.Decision.Why())
	}
	return r
}
