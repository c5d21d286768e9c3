// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// BenchmarkFork forks a state, empties some nodes in the fork and plans there.
func BenchmarkFork(b *testing.B) {
	for _, changed := range []int{0, 1, 100, 5000} {
		b.Run(fmt.Sprintf("nodes=5000/changed=%d/fork", changed), func(b *testing.B) { forked(b, changed) })
	}
	b.Run("nodes=5000/anew", func(b *testing.B) {
		p := plannable{fleet: fleet{5000, 3, false}, gang: 64, roles: 1}
		l, specs, g := p.layout(), p.specs(), p.request()
		b.ReportAllocs()
		for b.Loop() {
			p.mustBe(b, plan.Plan(build(b, l, specs).Freeze(), g, accept, plan.Options{}))
		}
	})
}

func forked(b *testing.B, changed int) {
	p := plannable{fleet: fleet{5000, 3, true}, gang: 64, roles: 1}
	l, g := p.layout(), p.request()
	s := build(b, l, p.specs()).Freeze()
	p.mustBe(b, plan.Plan(s, g, accept, plan.Options{}))
	empty := fleet{5000, 3, false}.specs()
	b.ReportAllocs()
	for b.Loop() {
		fork := s.Fork()
		for i := range changed {
			if err := fork.Upsert(empty[i]); err != nil {
				b.Fatal(err)
			}
		}
		if d := plan.Plan(fork.Freeze(), g, accept, plan.Options{}); !d.Placed {
			b.Fatal(d.Why())
		}
	}
}
