// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// available returns the number of further allocations for each device: zero or one, more
// for shared devices. Devices of one kind that consume common counters are taken one after
// the other in the allocator's order, so the counted devices can be allocated together.
// Each kind is counted as if it were alone: whole GPUs must not hide partitions that other
// pods request.
func (t *queryTable) available(devices []*device, signatures []signature, used *ledger) []int {
	free := make([]int, len(devices))
	var counters map[counterUser]remaining
	for i, d := range devices {
		if !signatures[i].counted() || used.inUse(d.id) {
			continue
		}
		shares := 1
		if isShared(d.spec) {
			shares = t.shares(d, signatures[i], used)
		}
		if len(d.spec.ConsumesCounters) > 0 {
			if counters == nil {
				counters = map[counterUser]remaining{}
			}
			if shares == 0 || !drawCounters(counters, d, signatures[i], used) {
				continue
			}
		}
		free[i] = shares
	}
	return free
}

// shares returns how many more allocations fit in a shared device, for the matching query
// that takes the least of it.
func (t *queryTable) shares(d *device, s signature, used *ledger) int {
	if !s.matchesAny() {
		return 1
	}
	taken := used.used(d.id)
	shares := 0
	for i, q := range t.queries {
		if s.has(i) {
			shares = max(shares, q.capacity.shares(d.spec, taken))
		}
	}
	return shares
}

// counterUser is a kind that consumes a pool's counters.
type counterUser struct {
	pool      *pool
	signature signature
}

// drawCounters subtracts the device's counters from its pool's remaining counters for the
// kind. It returns false if they do not suffice. A shared device that is partly in use has
// already consumed its counters.
func drawCounters(counters map[counterUser]remaining, d *device, s signature, used *ledger) bool {
	if isShared(d.spec) && used.partlyInUse(d.id) {
		return true
	}
	user := counterUser{pool: d.pool, signature: s}
	left, ok := counters[user]
	if !ok {
		left = d.pool.remaining(used)
		counters[user] = left
	}
	if !left.fits(d.spec) {
		return false
	}
	left.take(d.spec)
	return true
}

// remaining returns the pool's counters minus the devices in use on any node.
func (p *pool) remaining(used *ledger) remaining {
	left := p.state.counters.remaining()
	for _, d := range p.devices(everySlice) {
		if used.inUse(d.id) || used.partlyInUse(d.id) {
			left.take(d.spec)
		}
	}
	return left
}
