// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"
	"strings"
)

// PairMap lists, by PCI address, which devices of a machine type belong together. It comes
// first among the sources of alignment units (devices that are close to each other), for
// machines with drivers that do not publish pairs. Storage NICs are not in the map and so
// not in pairs.
type PairMap struct {
	// VMSize is the value of the attribute azure.dra.net/vmSize. Case is ignored.
	VMSize string
	Units  []PairUnit
}

// PairUnit has the devices of one alignment unit in a PairMap.
type PairUnit struct {
	// Addresses are PCI addresses of GPUs and NICs in lower case.
	Addresses []string
	NUMA      int
}

// DefaultPairMaps returns the maps for machine types of Azure whose attributes of devices do
// not show which GPU and NIC belong together. The pairs are from the topology file that
// Azure's images install. Hyper-V gives every device a PCI domain of its own, so no two
// devices share a PCIe root. Larger and newer Azure sizes (MI300X, GB200, GB300) have no
// such file. Their devices belong together if they share a NUMA node, which drivers publish.
func DefaultPairMaps() []PairMap {
	units := map[string][]PairUnit{
		"Standard_ND96asr_v4":       ndv4Units(),
		"Standard_ND96amsr_A100_v4": ndv4Units(),
		"Standard_ND96isr_H100_v5":  ndv5Units(),
		"Standard_ND96isrf_H100_v5": ndv5Units(),
		"Standard_ND96isr_H200_v5":  ndv5Units(),
		"Standard_ND96isrf_H200_v5": ndv5Units(),
	}
	var list []PairMap
	for _, size := range slices.Sorted(maps.Keys(units)) {
		list = append(list, PairMap{VMSize: size, Units: units[size]})
	}
	return list
}

// ndv5Units returns the eight pairs of a GPU and a NIC of Azure's H100 and H200 machines.
func ndv5Units() []PairUnit {
	return []PairUnit{
		hyperVPair("0001", "0101", 0), hyperVPair("0002", "0102", 0),
		hyperVPair("0003", "0103", 0), hyperVPair("0008", "0104", 0),
		hyperVPair("0009", "0105", 1), hyperVPair("000a", "0106", 1),
		hyperVPair("000b", "0107", 1), hyperVPair("000c", "0108", 1),
	}
}

// ndv4Units returns the four PCIe switches of Azure's A100 machines. Each has two GPUs,
// two NICs and its own NUMA node.
func ndv4Units() []PairUnit {
	unit := func(numa int, domains ...string) PairUnit {
		addresses := make([]string, 0, len(domains))
		for _, domain := range domains {
			addresses = append(addresses, hyperVAddress(domain))
		}
		return PairUnit{Addresses: addresses, NUMA: numa}
	}
	return []PairUnit{
		unit(0, "0003", "0004", "0103", "0104"),
		unit(1, "0001", "0002", "0101", "0102"),
		unit(2, "000d", "000e", "0107", "0108"),
		unit(3, "000b", "000c", "0105", "0106"),
	}
}

func hyperVPair(gpuDomain, nicDomain string, numa int) PairUnit {
	return PairUnit{Addresses: []string{hyperVAddress(gpuDomain), hyperVAddress(nicDomain)}, NUMA: numa}
}

func hyperVAddress(domain string) string { return domain + ":00:00.0" }

// pairMapFor returns the map of a machine type, or nil. Later maps win, so an
// administrator's map replaces a default.
func pairMapFor(maps []PairMap, vmSize string) *PairMap {
	if vmSize == "" {
		return nil
	}
	for i := len(maps) - 1; i >= 0; i-- {
		if strings.EqualFold(maps[i].VMSize, vmSize) {
			return &maps[i]
		}
	}
	return nil
}
