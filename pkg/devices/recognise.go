// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// rdmaClasses are DeviceClasses of managed clouds for RDMA NICs, whatever their devices publish.
var rdmaClasses = map[string]bool{
	"efa.networking.k8s.aws": true,
	"mrdma.google.com":       true,
}

// isGPU returns true for a whole NVIDIA GPU, a MIG slice of an NVIDIA GPU, or an AMD GPU. An NVIDIA device without a
// type comes from a driver older than the attribute and is a whole GPU.
func isGPU(d *device) bool {
	switch d.driver {
	case driverAMD:
		return true
	case driverNVIDIA:
		kind := d.stringAttribute(attrNVIDIAType)
		return kind == "gpu" || kind == "mig" || kind == ""
	}
	return false
}

// pciDeviceEFA is Amazon's name for an Elastic Fabric Adapter. The class efa.networking.k8s.aws selects by it.
const pciDeviceEFA = "Elastic Fabric Adapter (EFA)"

// isRDMANIC returns true for a network interface with RDMA. On AKS, DRANET publishes rdma=false after the vendor's
// driver was installed (dranet #51), so a named RDMA device is enough, and so is an EFA.
func isRDMANIC(d *device) bool {
	switch d.driver {
	case driverDRANET:
		return d.boolAttribute(attrDRANETRDMA) || d.stringAttribute(attrDRANETRDMADevice) != "" ||
			d.stringAttribute(attrDRANETPCIDevice) == pciDeviceEFA
	case driverSRIOV:
		return d.boolAttribute(attrSRIOVRDMACapable)
	}
	return false
}
