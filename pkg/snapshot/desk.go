// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"sync"
	"sync/atomic"
)

// Desk is where the plugins of one profile find the survey that they share.
// They are made in no particular order: the one that knows the fabric's levels
// and the one that knows devices leave them here, and the survey is put
// together when the first pod needs it.
type Desk struct {
	mu      sync.Mutex
	levels  []Level
	devices *Devices
	survey  atomic.Pointer[Survey]
}

// SetLevels leaves the levels of the fabric, coarse to fine.
func (d *Desk) SetLevels(levels []Level) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.levels = levels
}

// SetDevices leaves the device counts.
func (d *Desk) SetDevices(devices *Devices) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.devices = devices
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
	mu    sync.Mutex
	desks map[string]*Desk
}

// Of returns the desk of the profile with that name.
func (d *Desks) Of(profile string) *Desk {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.desks == nil {
		d.desks = map[string]*Desk{}
	}
	if d.desks[profile] == nil {
		d.desks[profile] = &Desk{}
	}
	return d.desks[profile]
}
