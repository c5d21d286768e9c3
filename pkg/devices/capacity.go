// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"math"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// maxShares is the maximum number of allocations counted for one shared device. No node
// runs more pods.
const maxShares = 1024

// capacities has the requested amounts of a device's capacities, by name of the capacity.
type capacities map[resourceapi.QualifiedName]resource.Quantity

func capacitiesOf(requirements *resourceapi.CapacityRequirements) capacities {
	if requirements == nil {
		return nil
	}
	return requirements.Requests
}

// consumed returns the amounts that one allocation takes of the device's capacities, or
// false if the device cannot serve the request. By the rules of the resource API, a
// capacity that is not requested takes the default of the capacity's policy, or all of
// the capacity without a policy.
func (c capacities) consumed(d *resourceapi.Device) (map[resourceapi.QualifiedName]resource.Quantity, bool) {
	for name := range c {
		if _, ok := d.Capacity[name]; !ok {
			return nil, false
		}
	}
	taken := make(map[resourceapi.QualifiedName]resource.Quantity, len(d.Capacity))
	for name, capacity := range d.Capacity {
		amount, ok := consumedOf(c, name, capacity)
		if !ok || amount.Sign() < 0 || amount.Cmp(capacity.Value) > 0 {
			return nil, false
		}
		taken[name] = amount
	}
	return taken, true
}

func consumedOf(c capacities, name resourceapi.QualifiedName, capacity resourceapi.DeviceCapacity) (resource.Quantity, bool) {
	wanted, requested := c[name]
	policy := capacity.RequestPolicy
	switch {
	case !requested && policy != nil && policy.Default != nil:
		return *policy.Default, true
	case !requested:
		return capacity.Value, true
	case policy == nil:
		return wanted, true
	case len(policy.ValidValues) > 0:
		return roundToValues(wanted, policy.ValidValues)
	case policy.ValidRange != nil:
		return roundToRange(wanted, policy.ValidRange)
	}
	return wanted, true
}

// roundToValues returns the first allowed value that is large enough, or false. The API
// keeps the values in ascending order.
func roundToValues(wanted resource.Quantity, allowed []resource.Quantity) (resource.Quantity, bool) {
	for _, value := range allowed {
		if wanted.Cmp(value) <= 0 {
			return value, true
		}
	}
	return resource.Quantity{}, false
}

// roundToRange rounds an amount up to the minimum or a step of the allowed range. It returns
// false for an amount beyond the range, and for an amount or step that is too large to
// calculate with (above math.MaxInt64/2): the device then cannot serve the request. The
// stock allocator reports an error for amounts above math.MaxInt64.
func roundToRange(wanted resource.Quantity, allowed *resourceapi.CapacityRequestPolicyRange) (resource.Quantity, bool) {
	if allowed.Min != nil && wanted.Cmp(*allowed.Min) < 0 {
		wanted = *allowed.Min
	}
	if allowed.Step != nil && allowed.Min != nil {
		stepped, ok := roundToStep(wanted, *allowed.Min, *allowed.Step)
		if !ok {
			return resource.Quantity{}, false
		}
		wanted = stepped
	}
	return wanted, allowed.Max == nil || wanted.Cmp(*allowed.Max) <= 0
}

func roundToStep(wanted, least, step resource.Quantity) (resource.Quantity, bool) {
	limit := resource.NewQuantity(math.MaxInt64/2000, resource.DecimalSI)
	if wanted.Cmp(*limit) > 0 || step.Cmp(*limit) > 0 {
		return roundLargeToStep(wanted, least, step)
	}
	wantedMilli, leastMilli, stepMilli := wanted.MilliValue(), least.MilliValue(), step.MilliValue()
	if stepMilli <= 0 {
		return resource.Quantity{}, false
	}
	steps := (wantedMilli - leastMilli + stepMilli - 1) / stepMilli
	return *resource.NewMilliQuantity(leastMilli+steps*stepMilli, step.Format), true
}

// roundLargeToStep rounds an amount up to a step, in whole units. It is for amounts, such
// as bytes of memory, whose number of milli units could exceed 64 bits.
func roundLargeToStep(wanted, least, step resource.Quantity) (resource.Quantity, bool) {
	limit := resource.NewQuantity(math.MaxInt64/2, resource.DecimalSI)
	if wanted.Cmp(*limit) > 0 || step.Cmp(*limit) > 0 || step.Value() <= 0 {
		return resource.Quantity{}, false
	}
	steps := (wanted.Value() - least.Value() + step.Value() - 1) / step.Value()
	return *resource.NewQuantity(least.Value()+steps*step.Value(), step.Format), true
}

// shares returns how many more allocations with these requested amounts fit in a shared
// device. used has the consumed amounts.
func (c capacities) shares(d *resourceapi.Device, used map[resourceapi.QualifiedName]resource.Quantity) int {
	taken, ok := c.consumed(d)
	if !ok {
		return 0
	}
	shares := maxShares
	for name, amount := range taken {
		left := d.Capacity[name].Value.DeepCopy()
		left.Sub(used[name])
		shares = min(shares, timesIn(amount, left))
	}
	return shares
}

// timesIn returns how often amount fits into left, at most maxShares. Repeated addition
// keeps the arithmetic exact.
func timesIn(amount, left resource.Quantity) int {
	if left.Sign() < 0 {
		return 0
	}
	if amount.Sign() == 0 {
		return maxShares
	}
	times := 0
	for sum := amount.DeepCopy(); sum.Cmp(left) <= 0 && times < maxShares; times++ {
		sum.Add(amount)
	}
	return times
}
