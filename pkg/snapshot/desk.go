// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"sync"
	"sync/atomic"

	fwk "k8s.io/kube-scheduler/framework"
)

// Desk is where the plugins of one profile find the survey that they share.
// They are made in no particular order: the one that knows the fabric's levels
// and the one that knows devices leave them here, and the survey is put
// together when the first pod needs it.
type Desk struct {
	// room is where the desks of the other profiles stand; nil if there are none.
	room    *Desks
	mu      sync.Mutex
	levels  []Level
	devices *Devices
	survey  atomic.Pointer[Survey]
	// extended are surveys with levels that only workloads name.
	extended extensions
}

// SetLevels leaves the levels of the fabric, coarse to fine.
func (d *Desk) SetLevels(levels []Level) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.levels = levels
}

// Devices returns the device counts, which all profiles of a process share, and
// leaves them on the desk. It says true to the first who asks: nobody else needs to
// have them follow the cluster.
func (d *Desk) Devices(manager fwk.SharedDRAManager) (counts *Devices, first bool) {
	counts, first = NewDevices(manager), true
	if d.room != nil {
		counts, first = d.room.shared(manager)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.devices = counts
	return counts, first
}

// Whole says whether every profile of the process counts its devices here.
func (d *Desk) Whole() bool {
	if d.room == nil {
		return true
	}
	return d.room.whole()
}

func (d *Desk) counts() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.devices != nil
}

// Survey returns the profile's survey. The error names the level that is wrong.
func (d *Desk) Survey() (*Survey, error) {
	if s := d.survey.Load(); s != nil {
		return s, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.survey.Load(); s != nil {
		return s, nil
	}
	s, err := newSurvey(d.levels, d.devices)
	if err != nil {
		return nil, err
	}
	d.survey.Store(s)
	return s, nil
}

// Desks gives each profile of a process its desk.
type Desks struct {
	mu      sync.Mutex
	desks   map[string]*Desk
	devices *Devices
}

// Of returns the desk of the profile with that name.
func (d *Desks) Of(profile string) *Desk {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.desks == nil {
		d.desks = map[string]*Desk{}
	}
	if d.desks[profile] == nil {
		d.desks[profile] = &Desk{room: d}
	}
	return d.desks[profile]
}

func (d *Desks) shared(manager fwk.SharedDRAManager) (counts *Devices, first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.devices != nil && d.devices.manager == manager {
		return d.devices, false
	}
	d.devices = NewDevices(manager)
	return d.devices, true
}

// whole says that no profile allocates devices behind the back of ours. All
// profiles have a desk, because all have the same QueueSort plugin.
func (d *Desks) whole() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, desk := range d.desks {
		if !desk.counts() {
			return false
		}
	}
	return true
}
