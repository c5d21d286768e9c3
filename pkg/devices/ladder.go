// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// looseUnit is the name of a node's last alignment unit. It has the devices that are in no
// other unit.
const looseUnit = "loose"

// unitInfo is the name and NUMA node of an alignment unit: devices of a node that are close
// to each other. A node has the same units for every request.
type unitInfo struct {
	name string
	numa int
}

// rung is one way to divide a node's devices into alignment units, a step of the ladder
// from the most to the least reliable way. Its unit function returns the name of a
// device's unit, or "" if the rung knows none for the device.
type rung struct {
	name string
	unit func(*device) string
	// numa has the NUMA nodes of units by name, if the rung itself defines them.
	numa map[string]int
	// usable returns true if the rung knows units for these GPUs and NICs of a node.
	usable func(gpus, nics []*device) bool
}

// align assigns every device of a node to an alignment unit (devices close to each
// other), by the first rung of the ladder that is usable. It returns the units. The last
// unit has the devices without a unit. It always exists and is often empty.
func align(devices []*device, pairMaps []PairMap) []unitInfo {
	gpus, nics := recognised(devices)
	var units []unitInfo
	if chosen := chooseRung(gpus, nics, ladder(devices, pairMaps)); chosen != nil {
		units = assignUnits(devices, gpus, nics, chosen)
	}
	loose := len(units)
	for _, d := range devices {
		if d.unit < 0 {
			d.unit = loose
		}
	}
	return append(units, unitInfo{name: looseUnit, numa: unknownNUMA})
}

func recognised(devices []*device) (gpus, nics []*device) {
	for _, d := range devices {
		d.unit = -1
		if d.gpu {
			gpus = append(gpus, d)
		}
		if d.rdma {
			nics = append(nics, d)
		}
	}
	return gpus, nics
}

// ladder lists the rungs (ways to divide a node's devices into alignment units), the most
// reliable first: the pair map of the machine type, if there is one, PCIe roots, NUMA nodes.
func ladder(devices []*device, pairMaps []PairMap) []rung {
	rungs := []rung{
		{name: "pcieRoot", unit: pcieRoot, usable: shareUnit(pcieRoot)},
		{name: "numa", unit: numaName, usable: knowsBoth(numaName)},
	}
	for _, d := range devices {
		pairMap := pairMapFor(pairMaps, d.stringAttribute(attrVMSize))
		if pairMap == nil {
			continue
		}
		unit, numa := pairMap.names()
		return slices.Insert(rungs, 0, rung{name: "pair", unit: unit, numa: numa, usable: knowsBoth(unit)})
	}
	return rungs
}

func chooseRung(gpus, nics []*device, rungs []rung) *rung {
	if len(gpus)+len(nics) == 0 {
		return nil
	}
	for i := range rungs {
		if rungs[i].usable(gpus, nics) {
			return &rungs[i]
		}
	}
	return nil
}

// names returns a function from a device to the name of its alignment unit in the map, by
// PCI address, and each unit's NUMA node by name. A name contains the unit's index in the
// map, so names sort by index.
func (m *PairMap) names() (unit func(*device) string, numa map[string]int) {
	byAddress := map[string]string{}
	numa = map[string]int{}
	for i := range m.Units {
		name := fmt.Sprintf("pair%02d", i)
		numa[name] = m.Units[i].NUMA
		for _, address := range m.Units[i].Addresses {
			byAddress[strings.ToLower(address)] = name
		}
	}
	return func(d *device) string { return byAddress[d.pciAddress()] }, numa
}

func pcieRoot(d *device) string { return d.stringAttribute(attrPCIeRoot) }

func numaName(d *device) string {
	if numa := d.numaNode(); numa != unknownNUMA {
		return fmt.Sprintf("numa%02d", numa)
	}
	return ""
}

// shareUnit returns a function that reports whether some GPU and some NIC are in the same
// unit. It is for PCIe roots, which do not always pair GPUs with NICs: on GB300 only the GPU
// publishes a root, and on OCI GB200 the roots of GPUs and NICs never match.
func shareUnit(unit func(*device) string) func(gpus, nics []*device) bool {
	return func(gpus, nics []*device) bool {
		roots := map[string]bool{}
		for _, gpu := range gpus {
			roots[unit(gpu)] = true
		}
		delete(roots, "")
		return slices.ContainsFunc(nics, func(nic *device) bool { return roots[unit(nic)] })
	}
}

// knowsBoth returns a function that reports whether the function unit returns a name of
// an alignment unit for some GPU and for some NIC. Without GPUs, or without NICs, the
// other side is enough.
func knowsBoth(unit func(*device) string) func(gpus, nics []*device) bool {
	named := func(side []*device) bool {
		return len(side) == 0 || slices.ContainsFunc(side, func(d *device) bool { return unit(d) != "" })
	}
	return func(gpus, nics []*device) bool { return named(gpus) && named(nics) }
}

// assignUnits assigns the devices of a node to alignment units by the chosen rung and
// returns the units, in the order of their names. Only GPUs and RDMA NICs create units.
// Other devices join these units.
func assignUnits(devices, gpus, nics []*device, chosen *rung) []unitInfo {
	members := map[string][]*device{}
	for _, d := range slices.Concat(gpus, nics) {
		if name := chosen.unit(d); name != "" {
			members[name] = append(members[name], d)
		}
	}
	names := slices.Sorted(maps.Keys(members))
	index := map[string]int{}
	units := make([]unitInfo, 0, len(names))
	for i, name := range names {
		index[name] = i
		numa, defined := chosen.numa[name]
		if !defined {
			numa = commonNUMA(members[name])
		}
		units = append(units, unitInfo{name: name, numa: numa})
	}
	for _, d := range devices {
		if i, ok := index[chosen.unit(d)]; ok {
			d.unit = i
		}
	}
	return units
}

// commonNUMA returns the NUMA node of those devices that publish one, or unknownNUMA if
// none does or they differ.
func commonNUMA(devices []*device) int {
	var seen []int
	for _, d := range devices {
		if numa := d.numaNode(); numa != unknownNUMA {
			seen = append(seen, numa)
		}
	}
	slices.SortFunc(seen, cmp.Compare)
	seen = slices.Compact(seen)
	if len(seen) != 1 {
		return unknownNUMA
	}
	return seen[0]
}
