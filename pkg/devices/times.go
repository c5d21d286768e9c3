// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// exactDemands is the maximum number of demands for which Times checks every subset. Real
// pods have two or three demands.
const exactDemands = 12

// Times returns how often all the demands together can be met if each device serves one
// demand. supply has the number of devices of each kind (a set of interchangeable devices).
// By Hall's theorem the result is the minimum over all sets of demands: the number of
// devices that the set can use divided by the number that it demands. Beyond exactDemands
// demands it checks only single demands and all of them together. The result may then be too
// high, never too low. Without demands it is 0.
func Times(demands []DeviceDemand, supply []int) int {
	times := -1
	bound := func(set func(int) bool) {
		wanted, reach := 0, make([]bool, len(supply))
		for i := range demands {
			if !set(i) {
				continue
			}
			wanted += demands[i].Count
			for _, kind := range demands[i].Kinds {
				reach[kind] = true
			}
		}
		if wanted == 0 {
			return
		}
		found := 0
		for kind, reached := range reach {
			if reached {
				found += supply[kind]
			}
		}
		if times < 0 || found/wanted < times {
			times = found / wanted
		}
	}
	if len(demands) > exactDemands {
		for i := range demands {
			bound(func(j int) bool { return i == j })
		}
		bound(func(int) bool { return true })
		return max(times, 0)
	}
	for subset := 1; subset < 1<<len(demands); subset++ {
		bound(func(i int) bool { return subset&(1<<i) != 0 })
	}
	return max(times, 0)
}

// DeviceDemand is a number of devices of the given kinds.
type DeviceDemand struct {
	// Name is the DeviceClass or extended resource requested.
	Name string
	// Kinds are indexes into View.Kinds (all kinds of the cluster), in order. Empty means
	// that no device of the cluster satisfies the demand.
	Kinds []int
	Count int
}
