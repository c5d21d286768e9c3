// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"sync"
	"sync/atomic"

	fwk "k8s.io/kube-scheduler/framework"
)

// Profile holds the cache (the state of the cluster from which nodes are planned) that the
// plugins of one scheduler profile share. The framework makes the plugins in no particular
// order. One plugin sets the levels of the network, another the devices; the first call of
// Cache builds the cache from both.
type Profile struct {
	// all has every profile of the process, this one included. It is nil for a Profile that
	// Profiles.Of did not make.
	all     *Profiles
	mu      sync.Mutex
	levels  []Level
	devices *Devices
	cache   atomic.Pointer[Cache]
	// gone are pods that all cycles of the profile take to be gone, nil outside a dry run.
	gone atomic.Pointer[GonePods]
	// extended are further caches with more levels, for node labels that workloads request
	// as topology levels.
	extended extensions
}

// SetLevels sets the levels of the network topology, coarse to fine.
func (d *Profile) SetLevels(levels []Level) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.levels = levels
}

// Devices returns the device counts for the profile and makes the profile use them.
// Profiles of a process that have the same DRA manager share them. first is true for the
// first caller, which must report changes of slices and claims to the counts.
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

// CountsAllDevices reports whether every profile of the process has device counts.
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

// Cache returns the profile's cache. The error names the invalid level.
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

// Sizes returns the number of nodes, and of resources and device kinds (sets of
// interchangeable devices), in all caches of the profile.
func (d *Profile) Sizes() (nodes, columns int) {
	caches := d.extended.caches()
	if base := d.cache.Load(); base != nil {
		caches = append(caches, base)
	}
	for _, cache := range caches {
		resources, kinds := cache.Columns()
		nodes, columns = nodes+cache.Nodes(), columns+resources+kinds
	}
	return nodes, columns
}

// Profiles maps the scheduler profiles of a process to their Profile.
type Profiles struct {
	mu       sync.Mutex
	profiles map[string]*Profile
	devices  *Devices
}

// Of returns the Profile of the scheduler profile with that name. It makes a missing one.
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

// whole reports whether every profile counts devices. An allocation by a profile that
// does not count devices would go unnoticed. No profile is missing from d.profiles: all
// profiles of a scheduler must use the same QueueSort plugin, and Dovetail's QueueSort
// plugin calls Of when it is created.
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
