// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"

	"k8s.io/dynamic-resource-allocation/structured"
)

// candidates has the devices of a node among which a pod's GPUs and NICs are chosen.
// demand is what the pod needs; supply, gpus and nics have one item for each alignment unit
// (devices that are close to each other).
type candidates struct {
	demand     Demand
	supply     []Supply
	gpus, nics [][]*device
	// gpuRequests and nicRequests are the pod's requests for GPUs and for NICs, in the order
	// in which the stock allocator serves them.
	gpuRequests, nicRequests []*deviceRequest
}

// Order chooses devices of a node for a pod. rails are the indices of the alignment units
// that other members of the pod's gang (pods that start together) use on their nodes, which
// Order prefers if this costs no alignment. It returns false if there is nothing to choose:
// the pod requests no GPUs or NICs that can be ordered, or the node lacks them. The stock
// allocator then takes devices in the order of the slices.
func (inv *Inventory) Order(node string, request *Request, rails []int) (Order, bool) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	n := inv.node(node)
	if n == nil {
		return Order{}, false
	}
	return inv.order(n, request, rails)
}

// order chooses devices for the first option of a request (a way to meet it) for which
// the node has enough. It returns false if there is none.
func (c *contents) order(n *node, request *Request, rails []int) (Order, bool) {
	for i := range request.options {
		// Try devices that satisfy any request, then only devices that satisfy all of
		// them: if requests select different devices, the first choice may not suffice
		// for all requests.
		for _, accepts := range []func(*device, []*deviceRequest) bool{servesOne, servesEach} {
			from := candidatesOf(n, &request.options[i], accepts, &c.ledger)
			if from.demand.GPUs+from.demand.NICs == 0 {
				break
			}
			from.demand.Rails = rails
			pairing, ok := Pair(from.supply, from.demand)
			if !ok {
				continue
			}
			if order, ok := from.order(pairing); ok {
				return order, true
			}
		}
	}
	return Order{}, false
}

// candidatesOf returns the free GPUs and NICs of a node for an option (one way to meet a
// pod's request). accepts decides whether a GPU serves the requests for GPUs, and whether a
// NIC serves those for NICs.
func candidatesOf(n *node, option *requestOption, accepts func(*device, []*deviceRequest) bool, used *ledger) candidates {
	units := len(n.units)
	c := candidates{supply: make([]Supply, units), gpus: make([][]*device, units), nics: make([][]*device, units)}
	for i, unit := range n.units {
		c.supply[i] = Supply{NUMA: unit.numa, Loose: i == units-1}
	}
	for i := range option.requests {
		request := &option.requests[i]
		switch {
		case request.all:
		case n.serves(request.queries, func(d *device) bool { return d.gpu }):
			c.demand.GPUs += request.count
			c.gpuRequests = append(c.gpuRequests, request)
		case n.serves(request.queries, func(d *device) bool { return d.rdma }):
			c.demand.NICs += request.count
			c.nicRequests = append(c.nicRequests, request)
		}
	}
	for _, d := range n.devices {
		c.add(d, accepts, used)
	}
	return c
}

// servesOne returns true if the device satisfies one of the requests. servesEach returns
// true if it satisfies all of them.
func servesOne(d *device, requests []*deviceRequest) bool {
	return slices.ContainsFunc(requests, func(request *deviceRequest) bool { return satisfies(d, request.queries) })
}

func servesEach(d *device, requests []*deviceRequest) bool {
	return !slices.ContainsFunc(requests, func(request *deviceRequest) bool { return !satisfies(d, request.queries) })
}

// serves returns true if the node has a device for which such returns true and that
// satisfies one of the queries (demands on a device).
func (n *node) serves(queries []*deviceQuery, such func(*device) bool) bool {
	return slices.ContainsFunc(n.devices, func(d *device) bool { return such(d) && satisfies(d, queries) })
}

// add adds a device to the supply (the counts of devices) of its alignment unit. It does not
// choose among shared devices or devices that consume counters: a count cannot express which
// of them can be allocated together. The stock allocator chooses among them.
func (c *candidates) add(d *device, accepts func(*device, []*deviceRequest) bool, used *ledger) {
	supply := &c.supply[d.unit]
	orderable := len(d.spec.ConsumesCounters) == 0 && !isShared(d.spec)
	free := orderable && !used.inUse(d.id)
	switch {
	case d.gpu:
		supply.AllGPUs++
		if free && accepts(d, c.gpuRequests) {
			supply.FreeGPUs++
			c.gpus[d.unit] = append(c.gpus[d.unit], d)
		}
	case d.rdma:
		supply.AllNICs++
		if free && (len(c.nicRequests) == 0 || accepts(d, c.nicRequests)) {
			supply.FreeNICs++
			c.nics[d.unit] = append(c.nics[d.unit], d)
		}
	}
}

// order returns an order of the devices that a pairing (the number of devices from each
// alignment unit) takes. The stock allocator serves requests one after the other, so the
// order has the devices of each request at its place. order returns false if some request
// cannot get devices that it selects.
func (c *candidates) order(pairing Pairing) (Order, bool) {
	var gpus, nics []*device
	for unit, take := range pairing.Takes {
		gpus = append(gpus, c.gpus[unit][:take.GPUs]...)
		nics = append(nics, c.nics[unit][:take.NICs]...)
	}
	gpus, ok := assign(gpus, c.gpuRequests)
	if !ok {
		return Order{}, false
	}
	if nics, ok = assign(nics, c.nicRequests); !ok {
		return Order{}, false
	}
	o := Order{Pairing: pairing, Demand: c.demand, first: map[structured.DeviceID]int{}}
	for _, d := range slices.Concat(gpus, nics) {
		o.first[d.id] = len(o.first)
	}
	return o, true
}
