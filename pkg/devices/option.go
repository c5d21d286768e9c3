// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import "slices"

// Option is one way to meet a pod's request: the node must have the devices of all demands
// together, and the pod uses up one pod of each of the pod limits (limits on a node's number
// of pods that counts of devices cannot express).
type Option struct {
	// Demands are sorted: first those for GPUs, then those for RDMA NICs, then others.
	Demands []DeviceDemand
	// PodLimits are indexes into NodeDevices.PodLimits (how many pods a node admits) and
	// View.PodLimits (the limits' names).
	PodLimits []int
}

// option converts device requests to demands: each is a number of devices of some kinds
// (a kind is a set of interchangeable devices). Requests with the same name (device class
// or extended resource) and kinds become one demand. Requests for all devices of a node
// become pod limits instead.
func (l *layout) option(o *requestOption) Option {
	var option Option
	for i := range o.requests {
		if o.requests[i].all {
			continue
		}
		demand := l.demand(&o.requests[i])
		same := slices.IndexFunc(option.Demands, func(d DeviceDemand) bool { return d.Name == demand.Name && slices.Equal(d.Kinds, demand.Kinds) })
		if same >= 0 {
			option.Demands[same].Count += demand.Count
			continue
		}
		option.Demands = append(option.Demands, demand)
	}
	slices.SortStableFunc(option.Demands, func(a, b DeviceDemand) int { return l.demandRank(a) - l.demandRank(b) })
	for _, p := range o.podLimits() {
		option.PodLimits = append(option.PodLimits, l.limitIndex[p.key])
	}
	return option
}

func (l *layout) demand(request *deviceRequest) DeviceDemand {
	demand := DeviceDemand{Name: request.queries[0].class, Kinds: l.kinds.kindsOf(request.queries), Count: request.count}
	if request.plugin != "" {
		demand.Name = string(request.plugin)
		demand.Kinds = append(demand.Kinds, l.kinds.plugin[request.plugin])
		slices.Sort(demand.Kinds)
	}
	return demand
}

// demandRank is the sort order of demands: GPUs before RDMA NICs before others.
func (l *layout) demandRank(d DeviceDemand) int {
	gpu := slices.ContainsFunc(d.Kinds, func(kind int) bool { return l.kinds.kinds[kind].GPU })
	rdma := slices.ContainsFunc(d.Kinds, func(kind int) bool { return l.kinds.kinds[kind].RDMA })
	switch {
	case gpu:
		return 0
	case rdma:
		return 1
	}
	return 2
}
