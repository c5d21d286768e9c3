// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Names of the device classes.
const (
	// ClassGPU selects every whole GPU of the NVIDIA driver. Pods request it by claims and
	// as the extended resource nvidia.com/gpu.
	ClassGPU = "gpu.nvidia.com"
	// ClassNIC selects every device that DRANET publishes.
	ClassNIC = "dranet.net"
	// ClassRDMA selects DRANET's RDMA NICs only.
	ClassRDMA = "rdma.dranet.net"
	// ClassEFA selects the RDMA NICs of Amazon EKS.
	ClassEFA = "efa.networking.k8s.aws"
	// ClassMRDMA selects the RDMA NICs of Google Kubernetes Engine.
	ClassMRDMA = "mrdma.google.com"
	// ClassChannel selects the IMEX channel that the pods of a ComputeDomain claim;
	// ClassDaemon selects the device of its daemon.
	ClassChannel = "compute-domain-default-channel.nvidia.com"
	ClassDaemon  = "compute-domain-daemon.nvidia.com"
)

// ExtendedResourceGPU is the resource name by which pods request GPUs without a claim.
const ExtendedResourceGPU = "nvidia.com/gpu"

// isRDMA matches NICs with DRANET's rdma flag, and NICs with an RDMA device name: the flag is false on AKS nodes with
// NVIDIA's own network driver.
const isRDMA = `device.attributes["dra.net"].?rdma.orValue(false) || device.attributes["dra.net"].?rdmaDevice.orValue("") != ""`

// Classes returns the DeviceClasses that come with the drivers.
func Classes() []*resourcev1.DeviceClass {
	gpu := class(ClassGPU, `device.driver == "gpu.nvidia.com"`, `device.attributes["gpu.nvidia.com"].type == "gpu"`)
	gpu.Spec.ExtendedResourceName = ptr.To(ExtendedResourceGPU)
	return []*resourcev1.DeviceClass{
		gpu,
		class(ClassNIC, `device.driver == "dra.net"`),
		class(ClassRDMA, `device.driver == "dra.net"`, isRDMA),
		class(ClassEFA, `device.driver == "dra.net"`, `device.attributes["dra.net"].?pciDevice.orValue("") == "`+pciDeviceEFA+`"`),
		class(ClassMRDMA, `device.driver == "dra.net"`, `device.attributes["gce.dra.net"].?machineType.hasValue()`, isRDMA),
		class(ClassChannel, `device.driver == "compute-domain.nvidia.com"`, `device.attributes["compute-domain.nvidia.com"].type == "channel"`,
			`device.attributes["compute-domain.nvidia.com"].id == 0`),
		class(ClassDaemon, `device.driver == "compute-domain.nvidia.com"`, `device.attributes["compute-domain.nvidia.com"].type == "daemon"`),
	}
}

// class returns a DeviceClass that selects the devices that match every expression.
func class(name string, expressions ...string) *resourcev1.DeviceClass {
	class := &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, expression := range expressions {
		class.Spec.Selectors = append(class.Spec.Selectors, resourcev1.DeviceSelector{
			CEL: &resourcev1.CELDeviceSelector{Expression: expression},
		})
	}
	return class
}
