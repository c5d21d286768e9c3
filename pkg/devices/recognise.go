// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// rdmaClasses are the names of managed clouds' DeviceClasses for RDMA NICs. A request for
// such a class counts as a request for RDMA NICs, whatever attributes the devices have.
var rdmaClasses = map[string]bool{
	"efa.networking.k8s.aws": true,
	"mrdma.google.com":       true,
}

// isGPU returns true for a whole NVIDIA GPU, a MIG slice of an NVIDIA GPU, or an AMD GPU.
// An NVIDIA device without a type is a whole GPU, published by a driver that is older
// than the attribute.
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

// pciDeviceEFA is Amazon's name for an Elastic Fabric Adapter, a NIC with RDMA. The
// selector of the DeviceClass efa.networking.k8s.aws uses it.
const pciDeviceEFA = "Elastic Fabric Adapter (EFA)"

// isRDMANIC returns true for a network interface with RDMA. DRANET's attribute rdma may be
// false for such an interface: on AKS it is, after the installation of the vendor's driver
// (dranet #51). So isRDMANIC also accepts an interface that names its RDMA device, or whose
// PCI name says that it is an EFA.
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
