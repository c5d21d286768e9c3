// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"slices"
)

// level is a level of the fabric.
type level struct {
	name string
	of   func(m *machine) int
}

// levels are the levels of the fabric, from fine to coarse.
var levels = []level{
	{"leaf", func(m *machine) int { return m.leaf }},
	{"spine", func(m *machine) int { return m.spine }},
	{"fabric", func(*machine) int { return 0 }},
}

// domains returns the machines of each domain, in the order of the fleet.
func (c *simulatedCluster) domains(of func(*machine) int) [][]*machine {
	var all [][]*machine
	for i, m := range c.machines {
		if i == 0 || of(m) != of(c.machines[i-1]) {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], m)
	}
	return all
}

// tightestDomains returns the domains of a level with slots for all pods of the job, by
// counts of GPUs, CPU and memory. Domains with the fewest slots come first.
func tightestDomains(s *sim, e *entry, of func(*machine) int) [][]*machine {
	type candidate struct {
		machines []*machine
		slots    int64
	}
	var fit []candidate
	withoutNICs := shape{gpus: e.shape.gpus}
	for _, domain := range s.domains(of) {
		var slots int64
		for _, m := range domain {
			left := m.free
			for left.holds(withoutNICs) {
				left.take(withoutNICs, 1)
				slots++
			}
		}
		if slots >= int64(len(e.pods)) {
			fit = append(fit, candidate{domain, slots})
		}
	}
	slices.SortStableFunc(fit, func(a, b candidate) int { return cmp.Compare(a.slots, b.slots) })
	domains := make([][]*machine, len(fit))
	for i := range fit {
		domains[i] = fit[i].machines
	}
	return domains
}

func roomsOf(machines []*machine) []room {
	rooms := make([]room, len(machines))
	for i, m := range machines {
		rooms[i] = m.free
	}
	return rooms
}
