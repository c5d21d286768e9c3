// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// counterSets has the counters that devices of a pool share, by set name and counter
// name.
type counterSets map[string]map[string]resourceapi.Counter

// missing returns the name of a counter set, or of a set and counter, that the device
// consumes and its pool does not have. It returns "" if the pool has all of them.
func (c counterSets) missing(d *resourceapi.Device) string {
	for i := range d.ConsumesCounters {
		consumption := &d.ConsumesCounters[i]
		set, ok := c[consumption.CounterSet]
		if !ok {
			return consumption.CounterSet
		}
		for name := range consumption.Counters {
			if _, ok := set[name]; !ok {
				return consumption.CounterSet + "/" + name
			}
		}
	}
	return ""
}

// remaining has the free amounts of a pool's counters, by set and counter name, while
// devices are taken one after the other.
type remaining map[string]map[string]resource.Quantity

func (c counterSets) remaining() remaining {
	left := remaining{}
	for setName, set := range c {
		left[setName] = map[string]resource.Quantity{}
		for name, counter := range set {
			left[setName][name] = counter.Value.DeepCopy()
		}
	}
	return left
}

// take subtracts what the device consumes. A counter may become negative, because devices
// that are already allocated are subtracted without a check.
func (r remaining) take(d *resourceapi.Device) {
	for i := range d.ConsumesCounters {
		consumption := &d.ConsumesCounters[i]
		for name, counter := range consumption.Counters {
			left := r[consumption.CounterSet][name]
			left.Sub(counter.Value)
			r[consumption.CounterSet][name] = left
		}
	}
}

// fits returns true if the remaining amounts of all counters that the device consumes
// suffice.
func (r remaining) fits(d *resourceapi.Device) bool {
	for i := range d.ConsumesCounters {
		consumption := &d.ConsumesCounters[i]
		for name, counter := range consumption.Counters {
			left := r[consumption.CounterSet][name]
			if left.Cmp(counter.Value) < 0 {
				return false
			}
		}
	}
	return true
}
