// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// assign gives every request its number of the devices, all of which are used. It returns the devices in the order of
// the requests, or false if some request cannot be served. Devices that come first go to requests that come first, and
// move only when somebody else has no other choice.
func assign(devices []*device, requests []*deviceRequest) ([]*device, bool) {
	a := assignment{devices: devices, holder: make([]int, len(devices))}
	for i := range a.holder {
		a.holder[i] = unassigned
	}
	for _, request := range requests {
		for range request.count {
			a.slots = append(a.slots, request.queries)
		}
	}
	if len(a.slots) != len(devices) {
		return nil, false
	}
	for slot := range a.slots {
		if !a.assign(slot, make([]bool, len(devices))) {
			return nil, false
		}
	}
	ordered := make([]*device, len(devices))
	for i, slot := range a.holder {
		ordered[slot] = devices[i]
	}
	return ordered, true
}

// unassigned holds a device that is not assigned.
const unassigned = -1

// assignment is a matching of slots, one for each device that a request wants, with devices.
type assignment struct {
	devices []*device
	slots   [][]*deviceQuery
	// holder is the slot that has a device.
	holder []int
}

// assign finds a device for the slot, moving others on; seen are devices that were tried for this slot already.
func (a *assignment) assign(slot int, seen []bool) bool {
	for i, d := range a.devices {
		if seen[i] || !satisfies(d, a.slots[slot]) {
			continue
		}
		seen[i] = true
		if a.holder[i] == unassigned || a.assign(a.holder[i], seen) {
			a.holder[i] = slot
			return true
		}
	}
	return false
}
