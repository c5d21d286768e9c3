// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Names of the hardware shapes.
const (
	// NDH100v5 is Azure's ND96isr_H100_v5: 8 GPUs, 8 InfiniBand NICs, NUMA 4+4, no PCIe roots.
	NDH100v5 = "ndh100v5"
	// NDGB300v6 is Azure's ND128isr_GB300_v6: 4 GPUs, 4 InfiniBand NICs, NUMA 2+2. A rack
	// of 18 nodes is one NVLink domain.
	NDGB300v6 = "ndgb300v6"
	// P5 is Amazon's p5.48xlarge: 8 GPUs, 32 EFAs, 4 for each GPU.
	P5 = "p5"
	// P4d is Amazon's p4d.24xlarge: 8 GPUs, 4 EFAs, 1 for every 2 GPUs.
	P4d = "p4d"
	// A4 is Google's a4-highgpu-8g: 8 GPUs, 8 RoCE NICs, 2 of each on every PCIe root.
	A4 = "a4"
	// DGXH100 is NVIDIA's DGX H100: 8 GPUs, 8 compute NICs and 4 storage NICs, all with RDMA.
	DGXH100 = "dgxh100"
	// OCIH100 is Oracle's BM.GPU.H100.8: 8 GPUs, 16 RoCE ports, 2 for each GPU.
	OCIH100 = "ocih100"
	// OCIGB200 is Oracle's BM.GPU.GB200-v3.4: 4 GPUs, 8 RoCE ports, 2 GPUs and 4 ports for
	// each NUMA node. A rack of 18 nodes is one NVLink domain.
	OCIGB200 = "ocigb200"
	// Plain is a CPU node without devices.
	Plain = "plain"
)

// shape is the hardware of one kind of node, as its kubelet and its device drivers report
// it.
type shape struct {
	instanceType, arch string
	cpu, memory, pods  string
	gpu                gpuModel
	nic                nicModel
	gpus               []gpu
	nics               []nic
	// rack is the number of nodes in an NVLink domain, or 0 if NVLink ends at the node. A rack is a leaf, and its nodes
	// have IMEX channels.
	rack int
	// cloud returns the attributes that DRANET's cloud provider adds to every NIC of the
	// node; labels returns the cloud's labels of the node. Either may be nil.
	cloud  func(n Node, shape *shape) attributes
	labels func(n Node) map[string]string
}

// NoUnit is the unit (number of a GPU and its NICs in a node) of a device that belongs to no
// GPU, such as a storage NIC.
const NoUnit = -1

// gpu is a GPU: its unit (equal for a GPU and its NICs) and NUMA node, its address on the PCI
// bus, and its PCIe root if the driver finds it.
type gpu struct {
	unit     int
	numa     int64
	pciBusID string
	pcieRoot string
}

// nic is a port of a network card. In a shape, NICs for GPU traffic come in the order of their
// rails (networks).
type nic struct {
	unit       int
	numa       int64
	pciAddress string
	pcieRoot   string
	rdmaDevice string
	// ifName is the network interface, or "" for InfiniBand ports that DRANET does not move.
	ifName string
}

// gpuModel holds the properties that all GPUs of a shape have in common.
type gpuModel struct {
	product, brand, architecture string
	computeCapability            string
	driver, cudaDriver           string
	memory                       string
}

// nvidia returns a GPU model with the driver version that all shapes use.
func nvidia(product, architecture, computeCapability, memory string) gpuModel {
	return gpuModel{
		product: product, brand: "Nvidia", architecture: architecture, computeCapability: computeCapability,
		driver: "580.95.5", cudaDriver: "13.0.0", memory: memory,
	}
}

var (
	a100  = nvidia("NVIDIA A100-SXM4-40GB", "Ampere", "8.0.0", "40960Mi")
	h100  = nvidia("NVIDIA H100 80GB HBM3", "Hopper", "9.0.0", "81559Mi")
	b200  = nvidia("NVIDIA B200", "Blackwell", "10.0.0", "183359Mi")
	gb200 = nvidia("NVIDIA GB200", "Blackwell", "10.0.0", "189471Mi")
	gb300 = nvidia("NVIDIA GB300", "Blackwell", "10.3.0", "284208Mi")
)

// nicModel holds the properties that all NICs of a shape have in common.
type nicModel struct {
	vendor, device, subsystem string
}

const mellanox = "Mellanox Technologies"

var (
	// virtualConnectX is a virtual function of the host's NIC.
	virtualConnectX = nicModel{vendor: mellanox, device: "ConnectX Family mlx5Gen Virtual Function", subsystem: "0042"}
	connectX7       = nicModel{vendor: mellanox, device: "MT2910 Family [ConnectX-7]"}
	connectX8       = nicModel{vendor: mellanox, device: "CX8 Family [ConnectX-8]"}
	efa             = nicModel{vendor: "Amazon.com, Inc.", device: pciDeviceEFA}
)

// pciDeviceEFA is the PCI name by which Amazon's DeviceClass selects EFAs.
const pciDeviceEFA = "Elastic Fabric Adapter (EFA)"

// shapes holds the hardware of all shapes, by name.
var shapes = map[string]shape{
	NDH100v5: ndh100v5Shape(), NDGB300v6: ndgb300v6Shape(),
	P5: p5Shape(), P4d: p4dShape(),
	A4:      a4Shape(),
	DGXH100: dgxh100Shape(),
	OCIH100: ocih100Shape(), OCIGB200: ocigb200Shape(),
	Plain: {instanceType: "plain", arch: "amd64", cpu: "32", memory: "128Gi", pods: "110"},
}

// Shapes lists the names of all hardware shapes, sorted.
func Shapes() []string {
	return slices.Sorted(maps.Keys(shapes))
}

func (s shape) resources() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(s.cpu),
		corev1.ResourceMemory: resource.MustParse(s.memory),
		corev1.ResourcePods:   resource.MustParse(s.pods),
	}
}

// Place is the position of a device in the hardware, even if its driver does not publish it.
type Place struct {
	// Unit is equal for a GPU and its NICs. It is NoUnit for a device that belongs to no GPU.
	Unit int
	// NUMA is the number of the NUMA node.
	NUMA int
}

// Places returns the position of each GPU and NIC of the node, by device name.
func (n Node) Places() map[string]Place {
	shape := shapes[n.Fleet.Shape]
	places := map[string]Place{}
	for i, gpu := range shape.gpus {
		places[gpuName(i)] = Place{Unit: gpu.unit, NUMA: int(gpu.numa)}
	}
	for _, nic := range shape.nics {
		places[nicName(nic.pciAddress)] = Place{Unit: nic.unit, NUMA: int(nic.numa)}
	}
	return places
}
