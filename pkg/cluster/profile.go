// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"sync"
	"sync/atomic"

	fwk "k8s.io/kube-scheduler/framework"
)

// Profile is where the plugins of one profile find the cache that they share.
// They are made in no particular order: the one that knows the fabric's levels
// and the one that knows devices leave them here, and the cache is put
// together when the first pod needs it.
type Profile struct {
	// all has the other profiles of the process; nil if there are none.
	all     *Profiles
	mu      sync.Mutex
	levels  []Level
	devices *Devices
	cache   atomic.Pointer[Cache]
	// extended are caches with levels that only workloads name.
	extended extensions
}

// SetLevels leaves the levels of the fabric, coarse to fine.
func (d *Profile) SetLevels(levels []Level) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.levels = levels
}

// Devices returns the device counts, which all profiles of a process share, and
// leaves them on the profile. It returns true to the first caller: the others need not
// have them follow the cluster.
func (d *Profile) Devices(manager fwk.SharedDRAManager) (counts *Devices, first bool) {
	counts, first = NewDevices(manager), true
	if d.all != nil {
		counts, first = d.all.shared(manager)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.devices = counts
	return counts, first
}

// CountsAllDevices reports whether every profile of the process counts its devices here.
func (d *Profile) CountsAllDevices() bool {
	if d.all == nil {
		return true
	}
	return d.all.whole()
}

func (d *Profile) counts() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.devices != nil
}

// Cache returns the profile's cache. The error names the level that is wrong.
func (d *Profile) Cache() (*Cache, error) {
	if s := d.cache.Load(); s != nil {
		return s, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.cache.Load(); s != nil {
		return s, nil
	}
	s, err := newCache(d.levels, d.devices)
	if err != nil {
		return nil, err
	}
	d.cache.Store(s)
	return s, nil
}

// Profiles gives each profile of a process its profile.
type Profiles struct {
	mu       sync.Mutex
	profiles map[string]*Profile
	devices  *Devices
}

// Of returns the profile of the profile with that name.
func (d *Profiles) Of(profile string) *Profile {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.profiles == nil {
		d.profiles = map[string]*Profile{}
	}
	if d.profiles[profile] == nil {
		d.profiles[profile] = &Profile{all: d}
	}
	return d.profiles[profile]
}

func (d *Profiles) shared(manager fwk.SharedDRAManager) (counts *Devices, first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.devices != nil && d.devices.manager == manager {
		return d.devices, false
	}
	d.devices = NewDevices(manager)
	return d.devices, true
}

// whole reports that no profile allocates devices behind the back of ours. All
// profiles have a profile, because all have the same QueueSort plugin.
func (d *Profiles) whole() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, profile := range d.profiles {
		if !profile.counts() {
			return false
		}
	}
	return true
}
