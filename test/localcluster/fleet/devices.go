// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Names of the device drivers.
const (
	DriverGPU = "gpu.nvidia.com"
	DriverNIC = "dra.net"
	// DriverIMEX publishes the channels through which pods of several nodes share GPU
	// memory over NVLink.
	DriverIMEX = "compute-domain.nvidia.com"
)

// attributes are the attributes of a device under construction.
type attributes map[resourcev1.QualifiedName]resourcev1.DeviceAttribute

// Slices returns the ResourceSlices that the node's drivers publish: one for each driver
// that finds a device.
func (n Node) Slices() []*resourcev1.ResourceSlice {
	shape := shapes[n.Fleet.Shape]
	var slices []*resourcev1.ResourceSlice
	if len(shape.gpus) > 0 {
		slices = append(slices, n.slice(DriverGPU, n.gpuDevices(shape)))
	}
	if len(shape.nics) > 0 {
		slices = append(slices, n.slice(DriverNIC, n.nicDevices(shape)))
	}
	if shape.rack > 0 {
		slices = append(slices, n.slice(DriverIMEX, imexDevices()))
	}
	return slices
}

// Own makes the registered node the owner of its slices, like the kubelet's DRA plugin
// helper: the garbage collector deletes them with the node.
func Own(slices []*resourcev1.ResourceSlice, node *corev1.Node) {
	for _, slice := range slices {
		slice.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: ptr.To(true),
		}}
	}
}

// slice returns a ResourceSlice named after node and driver. Real drivers use generateName,
// so no reader may rely on the name.
func (n Node) slice(driver string, devices []resourcev1.Device) *resourcev1.ResourceSlice {
	return &resourcev1.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name() + "-" + driver},
		Spec: resourcev1.ResourceSliceSpec{
			Driver:   driver,
			NodeName: ptr.To(n.Name()),
			Pool:     resourcev1.ResourcePool{Name: n.Name(), Generation: 1, ResourceSliceCount: 1},
			Devices:  devices,
		},
	}
}

func (n Node) gpuDevices(shape shape) []resourcev1.Device {
	var devices []resourcev1.Device
	for i, gpu := range shape.gpus {
		name := gpuName(i)
		attrs := attributes{}.
			text("type", "gpu").
			text("uuid", "GPU-"+uuid(n.Name(), name)).
			text("productName", shape.gpu.product).
			text("brand", shape.gpu.brand).
			text("architecture", shape.gpu.architecture).
			version("cudaComputeCapability", shape.gpu.computeCapability).
			version("driverVersion", shape.gpu.driver).
			version("cudaDriverVersion", shape.gpu.cudaDriver).
			text("addressingMode", "HMM").
			text("resource.kubernetes.io/pciBusID", gpu.pciBusID).
			number("resource.kubernetes.io/numaNode", gpu.numa).
			text("resource.kubernetes.io/pcieRoot", gpu.pcieRoot)
		devices = append(devices, resourcev1.Device{
			Name:       name,
			Attributes: attrs,
			Capacity: map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{
				"memory": {Value: resource.MustParse(shape.gpu.memory)},
			},
		})
	}
	return devices
}

func gpuName(i int) string { return fmt.Sprintf("gpu-%d", i) }

// nicDevices returns NICs as DRANET publishes them. With --move-ib-interfaces=false, an
// InfiniBand port has no network interface but has the name of its RDMA device.
func (n Node) nicDevices(shape shape) []resourcev1.Device {
	var devices []resourcev1.Device
	for _, nic := range shape.nics {
		attrs := attributes{}.
			text("dra.net/pciAddress", nic.pciAddress).
			text("dra.net/pciVendor", shape.nic.vendor).
			text("dra.net/pciDevice", shape.nic.device).
			text("dra.net/pciSubsystem", shape.nic.subsystem).
			number("dra.net/numaNode", nic.numa).
			number("resource.kubernetes.io/numaNode", nic.numa).
			text("resource.kubernetes.io/pcieRoot", nic.pcieRoot).
			truth("dra.net/rdma", nic.rdmaDevice != "").
			text("dra.net/rdmaDevice", nic.rdmaDevice).
			text("dra.net/ifName", nic.ifName)
		if shape.cloud != nil {
			maps.Copy(attrs, shape.cloud(n, &shape))
		}
		devices = append(devices, resourcev1.Device{Name: nicName(nic.pciAddress), Attributes: attrs})
	}
	return devices
}

// imexDevices returns the devices that the ComputeDomain driver publishes for a node: the
// default channel of workloads, and the device of the domain's daemon.
func imexDevices() []resourcev1.Device {
	channel := attributes{}.text("type", "channel").number("id", 0)
	daemon := attributes{}.text("type", "daemon").number("id", 0)
	return []resourcev1.Device{{Name: "channel-0", Attributes: channel}, {Name: "daemon-0", Attributes: daemon}}
}

// nicName is DRANET's device name for a PCI address: 0101:00:00.0 becomes pci-0101-00-00-0.
func nicName(pciAddress string) string {
	return "pci-" + strings.NewReplacer(":", "-", ".", "-").Replace(pciAddress)
}

// text sets a string attribute. It does not publish an empty value.
func (a attributes) text(name resourcev1.QualifiedName, value string) attributes {
	if value != "" {
		a[name] = resourcev1.DeviceAttribute{StringValue: &value}
	}
	return a
}

func (a attributes) version(name resourcev1.QualifiedName, value string) attributes {
	a[name] = resourcev1.DeviceAttribute{VersionValue: &value}
	return a
}

// number sets an integer attribute. The kernel uses -1 for "unknown", which drivers do not publish.
func (a attributes) number(name resourcev1.QualifiedName, value int64) attributes {
	if value >= 0 {
		a[name] = resourcev1.DeviceAttribute{IntValue: &value}
	}
	return a
}

func (a attributes) truth(name resourcev1.QualifiedName, value bool) attributes {
	a[name] = resourcev1.DeviceAttribute{BoolValue: &value}
	return a
}
