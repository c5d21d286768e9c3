// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// NodeDevices are the devices of one node in a View. Treat it as read-only: views share it.
type NodeDevices struct {
	// Units are the node's alignment units in a fixed order. The last unit has all devices that belong to none, plugin
	// devices and devices that other nodes can use included. It is often empty.
	Units []Unit
	// Permits is how many pods the node admits, by pod limit (see View.Permits).
	Permits []int
	// Revision changes with the counts, as long as the view's layout stays. It is 0 for a node without devices of its own.
	Revision uint64
}

// Unit is one alignment unit: the GPUs and NICs of one pair, PCIe root or NUMA node.
type Unit struct {
	Name string
	// NUMA is the unit's NUMA node, -1 if unknown or mixed.
	NUMA int
	// Free counts the devices that can be allocated, Total all devices, both by kind.
	Free  []int
	Total []int
}

// recount counts one node; it returns nil for a removed node. Signatures and kinds must be up to date.
func (l *layout) recount(cached *layoutNode, inv *Inventory) *NodeDevices {
	n := cached.node
	if n == nil {
		return nil
	}
	counts := &NodeDevices{Units: make([]Unit, len(n.units)), Permits: make([]int, len(l.podLimits)), Revision: n.revision}
	for i, unit := range n.units {
		counts.Units[i] = l.emptyUnit(unit)
	}
	free := l.available(n.devices, cached.signatures, &inv.ledger)
	for i, d := range n.devices {
		kind, counted := l.kinds.of[cached.signatures[i]]
		if !counted {
			continue
		}
		unit := &counts.Units[d.unit]
		unit.Free[kind] += free[i]
		unit.Total[kind] += max(free[i], 1)
	}
	for i := range l.podLimits {
		counts.Permits[i] = l.podLimits[i].admits(l, cached, free)
	}
	return counts
}

func (l *layout) emptyUnit(info unitInfo) Unit {
	kinds := len(l.kinds.kinds)
	return Unit{Name: info.name, NUMA: info.numa, Free: make([]int, kinds), Total: make([]int, kinds)}
}

// available returns how many allocations each device still takes: none or one, more for shared devices. Devices of
// one kind that consume common counters are taken one after the other in the allocator's order, so that the counted
// devices can be allocated together. Each kind is counted as if it were alone: whole GPUs must not hide partitions
// that other pods request.
func (l *layout) available(devices []*device, signatures []signature, used *ledger) []int {
	free := make([]int, len(devices))
	var counters map[counterUser]remaining
	for i, d := range devices {
		if !signatures[i].counted() || used.inUse(d.id) {
			continue
		}
		shares := 1
		if isShared(d.spec) {
			shares = l.shares(d, signatures[i], used)
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

// shares returns how many more allocations a shared device takes from the query that takes the least of it.
func (l *layout) shares(d *device, s signature, used *ledger) int {
	if !s.matchesAny() {
		return 1
	}
	taken := used.used(d.id)
	shares := 0
	for i, q := range l.queries {
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

// drawCounters subtracts the device's counters from what its pool has left for the kind, and returns false if they do
// not suffice. A shared device that is partly in use has already consumed its counters.
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

// remaining returns what the devices in use leave of the pool's counters, on whatever node they are.
func (p *pool) remaining(used *ledger) remaining {
	left := p.state.counters.remaining()
	for _, d := range p.devices(everySlice) {
		if used.inUse(d.id) || used.partlyInUse(d.id) {
			left.take(d.spec)
		}
	}
	return left
}
