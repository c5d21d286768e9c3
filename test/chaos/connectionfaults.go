// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"math/rand/v2"
	"time"
)

// onProxies returns a fault of the connections between the API server and all replicas of
// Dovetail, or one replica (single).
func onProxies(name string, weight int, single bool, do func(ctx context.Context, r *rig, p *proxy, random *rand.Rand)) fault {
	return fault{name: name, weight: weight, apply: func(ctx context.Context, r *rig, random *rand.Rand) error {
		chosen := random.IntN(len(r.proxies))
		for i, proxy := range r.proxies {
			if !single || i == chosen {
				do(ctx, r, proxy, rand.New(rand.NewPCG(random.Uint64(), 0)))
			}
		}
		return nil
	}}
}

// watchedKinds are the resources whose watches matter to a gang.
var watchedKinds = []string{"pods", "resourceclaims", "nodes", "resourceslices", "podgroups", "rayclusters"}

func randomKind(random *rand.Rand) string { return watchedKinds[random.IntN(len(watchedKinds))] }

// milliseconds draws a random length of time, from least to most milliseconds.
func milliseconds(random *rand.Rand, least, most int) time.Duration {
	return time.Duration(least+random.IntN(most-least)) * time.Millisecond
}

// connectionFaults happen to the connections between Dovetail and the API server.
var connectionFaults = []fault{
	onProxies("connections-cut", 3, false, func(_ context.Context, _ *rig, p *proxy, _ *rand.Rand) { p.conns.cut() }),
	onProxies("watches-cut", 2, false, func(_ context.Context, _ *rig, p *proxy, _ *rand.Rand) { p.cutWatches(anyResource) }),
	onProxies("watch-cut-twice", 3, false, func(ctx context.Context, _ *rig, p *proxy, random *rand.Rand) {
		kind := randomKind(random)
		p.cutWatches(kind)
		sleep(ctx, milliseconds(random, 50, 1000))
		p.cutWatches(kind)
	}),
	onProxies("watch-stalled", 4, false, func(_ context.Context, _ *rig, p *proxy, random *rand.Rand) {
		p.stall(randomKind(random), milliseconds(random, 500, 4000))
	}),
	onProxies("watches-stalled", 2, false, func(_ context.Context, _ *rig, p *proxy, random *rand.Rand) {
		p.stall(anyResource, milliseconds(random, 500, 3000))
	}),
	onProxies("latency", 3, false, func(ctx context.Context, _ *rig, p *proxy, random *rand.Rand) {
		p.setLatency(milliseconds(random, 50, 400))
		sleep(ctx, milliseconds(random, 500, 3000))
		p.setLatency(0)
	}),
	onProxies("partition", 1, true, func(ctx context.Context, r *rig, p *proxy, random *rand.Rand) {
		up := r.checker.ServerDown()
		p.setRefusing(true)
		sleep(ctx, milliseconds(random, 1000, 6000))
		p.setRefusing(false)
		r.programs.backUp(ctx, up)
	}),
}
