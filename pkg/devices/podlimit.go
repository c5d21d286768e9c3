// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"slices"
	"strings"

	resourceapi "k8s.io/api/resource/v1"
)

// podLimit limits how many pods with the same request fit on a node where counts of
// devices cannot express this: a request for all devices, or for devices with a common
// attribute value.
type podLimit struct {
	key  string
	name string
	// all is the query (what a request demands of a device) of a request for all devices
	// of a node that satisfy the query, otherwise nil.
	all *deviceQuery
	// times is the number of equal matchAttribute constraints, over different requests,
	// that the limit stands for. Each needs devices of its own.
	times     int
	attribute string
	demands   []limitDemand
	// unbounded is true if devices that several nodes can use may serve the limit's
	// requests. Then the limit does not apply.
	unbounded bool
}

// limitDemand demands count devices, each of which must satisfy one of the queries.
type limitDemand struct {
	queries []*deviceQuery
	count   int
}

// podLimits returns the pod limits of an option (a way to meet a pod's request): what the
// option requires beyond counts of devices.
func (o *requestOption) podLimits() []podLimit {
	var list []podLimit
	for i := range o.requests {
		if o.requests[i].all {
			q := o.requests[i].queries[0]
			list = append(list, podLimit{key: "all " + q.key, name: "all of " + q.label(), all: q})
		}
	}
	return append(list, o.constraintLimits()...)
}

// constraintLimits returns the limits that the option's matchAttribute constraints put on
// the number of pods with this option on a node. Constraints of one pod on the same
// attribute, over different requests with equal queries and numbers, compete for values of
// the attribute (such as PCIe roots), so they form one limit.
func (o *requestOption) constraintLimits() []podLimit {
	var list []podLimit
	members := map[string]map[int]bool{}
	for _, g := range o.groups {
		p := o.groupLimit(g)
		if len(p.demands) == 0 {
			// Skip a constraint with only requests for all devices: these have no number to
			// compare with the devices that have one value.
			continue
		}
		base := p.key
		for n := 0; ; n++ {
			p.key = fmt.Sprintf("%s #%d", base, n)
			used := members[p.key]
			if used == nil {
				members[p.key] = map[int]bool{}
			} else if slices.ContainsFunc(g.requests, func(r int) bool { return used[r] }) {
				continue
			}
			break
		}
		for _, r := range g.requests {
			members[p.key][r] = true
		}
		if i := slices.IndexFunc(list, func(other podLimit) bool { return other.key == p.key }); i >= 0 {
			list[i].times++
			continue
		}
		list = append(list, p)
	}
	for i := range list {
		list[i].key = fmt.Sprintf("%s x%d", list[i].key, list[i].times)
		list[i].name = fmt.Sprintf("same %s{%s}", list[i].attribute, shortHash(list[i].key))
	}
	return list
}

func (o *requestOption) groupLimit(g group) podLimit {
	p := podLimit{attribute: g.attribute, times: 1}
	var parts []string
	for _, r := range g.requests {
		request := &o.requests[r]
		if request.all {
			continue
		}
		p.demands = append(p.demands, limitDemand{queries: request.queries, count: request.count})
		var keys []string
		for _, q := range request.queries {
			keys = append(keys, q.key)
		}
		parts = append(parts, fmt.Sprintf("%d of %q", request.count, keys))
	}
	slices.Sort(parts)
	p.key = "same " + g.attribute + ": " + strings.Join(parts, ", ")
	return p
}

// admits returns how many pods with the limited request the node admits. free has, by
// index of a device of the node, how many further allocations the device can have. The
// result is never less than the number of pods that fit.
func (p *podLimit) admits(kinds *kindTable, cached *layoutNode, free []int) int {
	if p.unbounded {
		return maxShares
	}
	if p.all != nil {
		return p.admitsAll(cached.node, free)
	}
	byValue := map[string][]int{}
	for i, d := range cached.node.devices {
		if free[i] == 0 {
			continue
		}
		if value, ok := d.attribute(p.attribute); ok && scalarText(value) != "" {
			byValue[scalarText(value)] = append(byValue[scalarText(value)], i)
		}
	}
	sum := 0
	for _, devices := range byValue {
		sum += p.timesAmong(kinds, cached, devices, free)
	}
	return sum / p.times
}

// admitsElsewhere returns how many pods with the limited request a node without devices of
// its own admits: none, unless devices that several nodes can use may serve the request.
func (p *podLimit) admitsElsewhere() int {
	if p.unbounded {
		return maxShares
	}
	return 0
}

// serves returns true if the device satisfies one of the requests that the limit is
// about.
func (p *podLimit) serves(d *device) bool {
	if p.all != nil {
		return p.all.match(d).selects
	}
	return slices.ContainsFunc(p.demands, func(w limitDemand) bool {
		return slices.ContainsFunc(w.queries, func(q *deviceQuery) bool { return q.match(d).selects })
	})
}

// admitsAll returns how many pods with a request for all devices the node admits: one if
// every device of the node that satisfies the query is free for the pod. If all of these
// devices are shared, it is the number of free shares of the scarcest device. It is 0 if
// there are no such devices, or more than one allocation can hold.
func (p *podLimit) admitsAll(n *node, free []int) int {
	if n.unusable {
		return 0
	}
	found, admitted := 0, maxShares
	for i, d := range n.devices {
		if !p.all.match(d).selects {
			continue
		}
		if found++; !p.all.tolerates(d) {
			return 0
		}
		admitted = min(admitted, free[i])
	}
	if found == 0 || found > resourceapi.AllocationResultsMaxSize {
		return 0
	}
	return admitted
}

// timesAmong returns how often the limit's demands can all be met from these devices,
// which have one value of the attribute in common.
func (p *podLimit) timesAmong(kinds *kindTable, cached *layoutNode, devices, free []int) int {
	supply := make([]int, len(kinds.kinds))
	for _, i := range devices {
		supply[kinds.of[cached.signatures[i]]] += free[i]
	}
	demands := make([]DeviceDemand, 0, len(p.demands))
	for _, w := range p.demands {
		demands = append(demands, DeviceDemand{Kinds: kinds.kindsOf(w.queries), Count: w.count})
	}
	return Times(demands, supply)
}
