// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"strconv"
	"strings"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Names of device attributes that this package reads itself. Selectors may read any
// attribute through the CEL evaluator.
const (
	attrPCIeRoot = "resource.kubernetes.io/pcieRoot"
	attrPCIBusID = "resource.kubernetes.io/pciBusID"
	attrNUMANode = "resource.kubernetes.io/numaNode"

	attrVMSize = "azure.dra.net/vmSize"

	attrDRANETRDMA       = "dra.net/rdma"
	attrDRANETRDMADevice = "dra.net/rdmaDevice"
	attrDRANETPCIDevice  = "dra.net/pciDevice"
	attrDRANETPCIAddress = "dra.net/pciAddress"
	attrDRANETNUMANode   = "dra.net/numaNode"

	attrSRIOVRDMACapable = driverSRIOV + "/rdmaCapable"
	attrSRIOVPCIAddress  = driverSRIOV + "/pciAddress"

	attrNVIDIAType     = driverNVIDIA + "/type"
	attrNVIDIANUMANode = driverNVIDIA + "/numa"
	attrAMDNUMANode    = driverAMD + "/numaNode"
)

// Drivers whose devices' attributes identify GPUs and RDMA NICs.
const (
	driverNVIDIA = "gpu.nvidia.com"
	driverAMD    = "gpu.amd.com"
	driverDRANET = "dra.net"
	driverSRIOV  = "sriovnetwork.k8snetworkplumbingwg.io"
)

// unknownNUMA is the NUMA node of a device that publishes none, and of an alignment unit
// with devices on different NUMA nodes.
const unknownNUMA = -1

// device is a device of a complete pool, with values computed when the device's
// ResourceSlice was read.
type device struct {
	id     structured.DeviceID
	driver string
	pool   *pool
	// slice and spec are the informer's objects. This package never changes them.
	slice *resourceapi.ResourceSlice
	spec  *resourceapi.Device
	// capacities is a text that is equal for devices with equal capacities.
	capacities string
	// unit is the index of the device's alignment unit (devices that are close to each
	// other) on its node.
	unit int
	gpu  bool
	rdma bool
}

func (d *device) attribute(name string) (resourceapi.DeviceAttribute, bool) {
	return attributeOf(d.driver, d.spec, name)
}

// attributeOf finds an attribute by its full name, in the same way as the stock allocator:
// as written, or without the domain if the domain is the driver's name.
func attributeOf(driver string, d *resourceapi.Device, name string) (resourceapi.DeviceAttribute, bool) {
	if value, ok := d.Attributes[resourceapi.QualifiedName(name)]; ok {
		return value, true
	}
	domain, id, qualified := strings.Cut(name, "/")
	if !qualified || domain != driver {
		return resourceapi.DeviceAttribute{}, false
	}
	value, ok := d.Attributes[resourceapi.QualifiedName(id)]
	return value, ok
}

func (d *device) stringAttribute(name string) string {
	value, ok := d.attribute(name)
	if !ok || value.StringValue == nil {
		return ""
	}
	return *value.StringValue
}

func (d *device) boolAttribute(name string) bool {
	value, ok := d.attribute(name)
	return ok && value.BoolValue != nil && *value.BoolValue
}

// pciAddress returns the device's bus address in lower case, or "" if its driver publishes
// none.
func (d *device) pciAddress() string {
	for _, name := range []string{attrPCIBusID, attrDRANETPCIAddress, attrSRIOVPCIAddress} {
		if address := d.stringAttribute(name); address != "" {
			return strings.ToLower(address)
		}
	}
	return ""
}

// numaNode returns the NUMA node of the device, or unknownNUMA. It prefers the standard
// attribute to the drivers' own, which they used before Kubernetes 1.37. A negative value
// of an attribute means that the machine does not report a NUMA node.
func (d *device) numaNode() int {
	for _, name := range []string{attrNUMANode, attrDRANETNUMANode, attrNVIDIANUMANode, attrAMDNUMANode} {
		if value, ok := d.attribute(name); ok {
			if numa, ok := firstInt(value); ok && numa >= 0 {
				return int(numa)
			}
		}
	}
	return unknownNUMA
}

// firstInt reads an attribute with an int or a list of ints, of which it returns the
// first. A driver that lists NUMA nodes begins with the one to which the device is attached.
// firstInt returns false for other types.
func firstInt(value resourceapi.DeviceAttribute) (int64, bool) {
	switch {
	case value.IntValue != nil:
		return *value.IntValue, true
	case len(value.IntValues) > 0:
		return value.IntValues[0], true
	}
	return 0, false
}

// scalarText returns a scalar attribute value as text. Equal texts mean equal values. It
// returns "" for lists and unknown types.
func scalarText(value resourceapi.DeviceAttribute) string {
	switch {
	case value.StringValue != nil:
		return "s" + *value.StringValue
	case value.IntValue != nil:
		return "i" + strconv.FormatInt(*value.IntValue, 10)
	case value.BoolValue != nil:
		return "b" + strconv.FormatBool(*value.BoolValue)
	case value.VersionValue != nil:
		return "v" + *value.VersionValue
	}
	return ""
}

// listText returns a list attribute value as text. It returns "[]" for other types.
func listText(value resourceapi.DeviceAttribute) string {
	var parts []string
	for _, item := range value.StringValues {
		parts = append(parts, "s"+strconv.Quote(item))
	}
	for _, item := range value.IntValues {
		parts = append(parts, "i"+strconv.FormatInt(item, 10))
	}
	for _, item := range value.BoolValues {
		parts = append(parts, "b"+strconv.FormatBool(item))
	}
	for _, item := range value.VersionValues {
		parts = append(parts, "v"+strconv.Quote(item))
	}
	return "[" + strings.Join(parts, ",") + "]"
}
