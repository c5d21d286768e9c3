// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// available returns, by device, how many further allocations it can have: zero or one, more
// for shared devices. Devices of one kind that consume common counters are taken one after
// the other in the stock allocator's order, so the counted devices can be allocated
// together. Each kind is counted as if other kinds used no counters: whole GPUs must not
// hide partitions that other pods request.
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

// shares returns how many more allocations fit in a shared device, counted for the query
// (what a request says about one device) that takes the least of the device. s has the
// queries that the device satisfies; without any, shares returns 1.
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

// counterUser identifies the devices of one kind (those that satisfy the same requests)
// that consume the counters of one pool.
type counterUser struct {
	pool      *pool
	signature signature
}

// drawCounters subtracts the counters that a device consumes from what remains of its
// pool's counters for devices of its kind. It returns false if too little remains. A
// shared device that is partly in use has already consumed its counters.
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

// remaining returns the pool's counters minus what the devices in use, on any node,
// consume.
func (p *pool) remaining(used *ledger) remaining {
	left := p.state.counters.remaining()
	for _, d := range p.devices(everySlice) {
		if used.inUse(d.id) || used.partlyInUse(d.id) {
			left.take(d.spec)
		}
	}
	return left
}
