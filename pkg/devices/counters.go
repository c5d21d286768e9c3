// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// counterSets has the shared counters of a pool, by set name and counter name.
type counterSets map[string]map[string]resourceapi.Counter

// missing returns the first counter that the device consumes and the pool lacks, or "".
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

// remaining has the free amounts of a pool's counters while devices are taken one after the
// other.
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

// take subtracts the device's consumption. The result may be negative, since the allocation
// exists.
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

// fits returns true if the remaining counters suffice for the device.
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
