// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// The benchmark measures a planned pod from PreFilter to Reserve at several cluster sizes.
// Half of the GPUs of the other nodes are in use. The in-tree plugin has no plans; the
// benchmark filters only the planned node there too.
func BenchmarkPlannedCycle(b *testing.B) {
	for _, nodes := range []int{100, 1000, 5000} {
		pair := claim("pair", "4 gpu.nvidia.com", "4 rdma.dranet.net")
		fleetText := fmt.Sprintf("shape=ndh100v5,spines=1,leaves=%d,nodes=10", nodes/10)
		w := newWorld(b, fleetText, append(halfTaken(b, fleetText), pair)...)
		for _, bench := range []struct {
			name string
			p    plugin
		}{{"stock", w.stock()}, {"ours", w.ours()}} {
			b.Run(fmt.Sprintf("nodes=%d/%s", nodes, bench.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					trip := w.trip(bench.p, podWith("pod", pair))
					cluster.SetPlanned(trip.state, cluster.Planned{Node: w.nodes[0].Node().Name, Rail: -1})
					if _, status := bench.p.PreFilter(context.Background(), trip.state, trip.pod, w.nodes[:1]); !status.IsSuccess() {
						b.Fatal(status)
					}
					if status := bench.p.Filter(context.Background(), trip.state, trip.pod, w.nodes[0]); !status.IsSuccess() {
						b.Fatal(status)
					}
					trip.node = w.nodes[0].Node().Name
					if said := trip.reserve(); said != "" {
						b.Fatal(said)
					}
					trip.leave()
				}
			})
		}
	}
}
