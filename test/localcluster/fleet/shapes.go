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
	// Plain is a CPU node without devices.
	Plain = "plain"
)

// shape is the hardware of one kind of node: what the kubelet reports, and what the device drivers find.
type shape struct {
	instanceType, arch string
	cpu, memory, pods  string
	gpu                gpuModel
	nic                nicModel
	gpus               []gpu
	nics               []nic
	// cloud returns the attributes that DRANET's cloud provider adds to every NIC of the node.
	cloud func(n Node, instanceType string) attributes
}

// gpu is one GPU: its address on the bus, the NUMA node it hangs on, and the PCIe root where the driver can find one.
type gpu struct {
	pciBusID string
	numa     int64
	pcieRoot string
}

// nic is one network card. Compute NICs stand in the order of their rail.
type nic struct {
	pciAddress string
	numa       int64
	pcieRoot   string
	rdmaDevice string
}

// gpuModel is what all GPUs of a shape have in common.
type gpuModel struct {
	product, brand, architecture string
	computeCapability            string
	driver, cudaDriver           string
	memory                       string
}

// nicModel is what all NICs of a shape have in common.
type nicModel struct {
	vendor, device, subsystem string
}

// shapes is the hardware that fleets can be made of.
var shapes = map[string]shape{
	// Addresses and NUMA nodes from azhpc-images' topology file for ND H100 v5. On Hyper-V no PCIe root resolves, so
	// neither driver publishes one. GPU i and NIC i are a pair.
	NDH100v5: {
		instanceType: "Standard_ND96isr_H100_v5", arch: "amd64",
		cpu: "96", memory: "1900Gi", pods: "110",
		gpu: gpuModel{
			product: "NVIDIA H100 80GB HBM3", brand: "Nvidia", architecture: "Hopper", computeCapability: "9.0.0",
			driver: "580.95.5", cudaDriver: "13.0.0", memory: "81559Mi",
		},
		nic: nicModel{vendor: "Mellanox Technologies", device: "ConnectX Family mlx5Gen Virtual Function", subsystem: "0042"},
		gpus: []gpu{
			{pciBusID: "0001:00:00.0", numa: 0}, {pciBusID: "0002:00:00.0", numa: 0},
			{pciBusID: "0003:00:00.0", numa: 0}, {pciBusID: "0008:00:00.0", numa: 0},
			{pciBusID: "0009:00:00.0", numa: 1}, {pciBusID: "000a:00:00.0", numa: 1},
			{pciBusID: "000b:00:00.0", numa: 1}, {pciBusID: "000c:00:00.0", numa: 1},
		},
		nics: []nic{
			{pciAddress: "0101:00:00.0", numa: 0, rdmaDevice: "mlx5_0"}, {pciAddress: "0102:00:00.0", numa: 0, rdmaDevice: "mlx5_1"},
			{pciAddress: "0103:00:00.0", numa: 0, rdmaDevice: "mlx5_2"}, {pciAddress: "0104:00:00.0", numa: 0, rdmaDevice: "mlx5_3"},
			{pciAddress: "0105:00:00.0", numa: 1, rdmaDevice: "mlx5_4"}, {pciAddress: "0106:00:00.0", numa: 1, rdmaDevice: "mlx5_5"},
			{pciAddress: "0107:00:00.0", numa: 1, rdmaDevice: "mlx5_6"}, {pciAddress: "0108:00:00.0", numa: 1, rdmaDevice: "mlx5_7"},
		},
		cloud: azure,
	},
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

// azure is what DRANET reads from Azure's instance metadata service.
func azure(n Node, instanceType string) attributes {
	return attributes{}.
		text("azure.dra.net/placementGroupId", n.Fleet.PlacementGroup).
		text("azure.dra.net/vmSize", instanceType)
}
