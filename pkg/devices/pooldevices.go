// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"cmp"
	"maps"
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// inAllocatorOrder sorts pools in the order of the stock allocator: by driver and name,
// with pools with binding conditions last.
func inAllocatorOrder(pools map[poolKey]*pool) []*pool {
	return slices.SortedFunc(maps.Values(pools), func(a, b *pool) int {
		if a.state.bindingConditions != b.state.bindingConditions {
			if b.state.bindingConditions {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.key.driver, b.key.driver), cmp.Compare(a.key.name, b.key.name))
	})
}

// devices returns the devices of those slices of the pool for which chosen returns true,
// in the order of the allocator.
func (p *pool) devices(chosen func(*resourceapi.ResourceSlice) bool) []*device {
	var list []*device
	for _, slice := range p.state.slices {
		if !chosen(slice) {
			continue
		}
		for i := range slice.Spec.Devices {
			spec := &slice.Spec.Devices[i]
			d := &device{
				id:     structured.MakeDeviceID(p.key.driver, p.key.name, spec.Name),
				driver: p.key.driver, pool: p, slice: slice, spec: spec, capacities: capacityText(spec),
			}
			d.gpu, d.rdma = isGPU(d), isRDMANIC(d)
			list = append(list, d)
		}
	}
	return list
}

func everySlice(*resourceapi.ResourceSlice) bool { return true }

// multiNodeDevices returns the devices of a pool that more than one node may use. It
// returns none if the pool is incomplete or broken.
func multiNodeDevices(p *pool) []*device {
	if p.state.problem != "" {
		return nil
	}
	return p.devices(func(slice *resourceapi.ResourceSlice) bool { return nodeOf(slice) == "" })
}
