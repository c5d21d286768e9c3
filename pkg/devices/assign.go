// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// assign divides devices among requests so that every request gets its number of devices
// and no device is left over. It returns the devices in the order of the requests, or
// false if some request cannot be served. The first devices go to the first requests. A
// device moves to a later request only if this request has no other choice.
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

// unassigned is the holder of a device that no request has.
const unassigned = -1

// assignment is a matching of devices with slots. A slot is one of the devices that a
// request needs.
type assignment struct {
	devices []*device
	slots   [][]*deviceQuery
	// holder has, by index of a device, the slot that has the device.
	holder []int
}

// assign finds a device for the slot. It may move other slots to other devices. seen
// marks the devices already tried. assign returns false if there is no device.
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
