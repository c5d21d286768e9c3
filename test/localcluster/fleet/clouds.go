// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import "fmt"

// LabelClique is the node label in which NVIDIA's GPU operator writes the NVLink domain of a
// node.
const LabelClique = "nvidia.com/gpu.clique"

// ndh100v5Shape has addresses and NUMA nodes from azhpc-images' topology file for ND H100
// v5. On Hyper-V the drivers of GPUs and NICs cannot resolve a PCIe root, so neither publishes
// one. GPU i and NIC i are a pair.
func ndh100v5Shape() shape {
	s := shape{
		instanceType: "Standard_ND96isr_H100_v5", arch: "amd64", cpu: "96", memory: "1900Gi", pods: "110",
		gpu: h100, nic: virtualConnectX, cloud: azure,
	}
	for i, domain := range []string{"0001", "0002", "0003", "0008", "0009", "000a", "000b", "000c"} {
		numa := int64(i / 4)
		s.gpus = append(s.gpus, gpu{unit: i, numa: numa, pciBusID: domain + ":00:00.0"})
		s.nics = append(s.nics, nic{unit: i, numa: numa, pciAddress: fmt.Sprintf("010%d:00:00.0", i+1), rdmaDevice: fmt.Sprintf("mlx5_%d", i)})
	}
	return s
}

// ndgb300v6Shape follows DRANET's Azure examples. GPUs are attached to the CPU, NICs to
// virtual roots of Hyper-V: only GPUs publish a root. A GPU and its NICs share a NUMA node.
func ndgb300v6Shape() shape {
	s := shape{
		instanceType: "Standard_ND128isr_GB300_v6", arch: "arm64", cpu: "128", memory: "880Gi", pods: "110",
		gpu: gb300, nic: virtualConnectX, rack: 18, cloud: azure,
	}
	s.gpus = graceGPUs()
	for i := range s.gpus {
		numa := i / 2
		s.nics = append(s.nics, nic{
			unit: numa, numa: int64(numa), pciAddress: fmt.Sprintf("010%d:00:00.0", i+1), rdmaDevice: fmt.Sprintf("mlx5_%d", i),
		})
	}
	return s
}

// graceGPUs returns the four GPUs of a node (compute tray) with two Grace CPUs.
func graceGPUs() []gpu {
	var gpus []gpu
	for i, domain := range []string{"0008", "0009", "0018", "0019"} {
		gpus = append(gpus, gpu{unit: i / 2, numa: int64(i / 2), pciBusID: domain + ":06:00.0", pcieRoot: "pci" + domain + ":00"})
	}
	return gpus
}

// azure returns the attributes that DRANET reads from Azure's instance metadata service. A rack is an interconnect
// subgroup.
func azure(n Node, shape *shape) attributes {
	attrs := attributes{}.
		text("azure.dra.net/placementGroupId", n.Fleet.PlacementGroup).
		text("azure.dra.net/vmSize", shape.instanceType)
	if shape.rack > 0 {
		attrs.text("azure.dra.net/interconnectGroupId", uuid("interconnect-group", n.Spine())).
			text("azure.dra.net/interconnectSubgroupId", uuid("interconnect-subgroup", n.Leaf()))
	}
	return attrs
}

// p5Shape has the buses of aws-ofi-nccl's topology file: each of eight switches has four
// EFAs and a GPU.
func p5Shape() shape {
	s := shape{
		instanceType: "p5.48xlarge", arch: "amd64", cpu: "192", memory: "2000Gi", pods: "110",
		gpu: h100, nic: efa, labels: awsLabels,
	}
	for i, bus := range []int{0x45, 0x56, 0x67, 0x78, 0x89, 0x9a, 0xab, 0xbc} {
		numa, root := int64(i/4), fmt.Sprintf("pci0000:%02x", bus-1)
		s.gpus = append(s.gpus, gpu{unit: i, numa: numa, pciBusID: fmt.Sprintf("0000:%02x:00.0", bus+14), pcieRoot: root})
		for port := range 4 {
			s.nics = append(s.nics, efaNIC(i, numa, bus+10+port, 0, root))
		}
	}
	return s
}

// p4dShape follows DRANET's EKS example, which shows the slices of a real node.
func p4dShape() shape {
	s := shape{
		instanceType: "p4d.24xlarge", arch: "amd64", cpu: "96", memory: "1120Gi", pods: "110",
		gpu: a100, nic: efa, labels: awsLabels,
	}
	for i, bus := range []int{0x10, 0x20, 0x90, 0xa0} {
		numa, root := int64(i/2), fmt.Sprintf("pci0000:%02x", bus)
		for _, slot := range []string{"1c", "1d"} {
			s.gpus = append(s.gpus, gpu{unit: i, numa: numa, pciBusID: fmt.Sprintf("0000:%02x:%s.0", bus, slot), pcieRoot: root})
		}
		s.nics = append(s.nics, efaNIC(i, numa, bus, 0x1b, root))
	}
	return s
}

// efaNIC returns an EFA NIC. The kernel names it after bus and slot, in decimal.
func efaNIC(unit int, numa int64, bus, slot int, root string) nic {
	return nic{
		unit: unit, numa: numa, pcieRoot: root,
		pciAddress: fmt.Sprintf("0000:%02x:%02x.0", bus, slot), rdmaDevice: fmt.Sprintf("rdmap%ds%d", bus, slot),
	}
}

// awsLabels returns Amazon's labels of the network layers above a node, from the top layer
// down.
func awsLabels(n Node) map[string]string {
	return map[string]string{
		"topology.k8s.aws/network-node-layer-1": n.Fleet.Name,
		"topology.k8s.aws/network-node-layer-2": n.Spine(),
		"topology.k8s.aws/network-node-layer-3": n.Leaf(),
	}
}

// a4Shape has the buses of DRANET's GKE examples: each root has two GPUs and, behind them,
// two NICs.
func a4Shape() shape {
	s := shape{
		instanceType: "a4-highgpu-8g", arch: "amd64", cpu: "224", memory: "3800Gi", pods: "110",
		gpu: b200, nic: connectX7, cloud: gce, labels: gkeLabels,
	}
	for unit, bus := range []int{0x8c, 0x93, 0xc1, 0xc8} {
		numa, root := int64(unit/2), fmt.Sprintf("pci0000:%02x", bus)
		for i := range 2 {
			index := 2*unit + i
			s.gpus = append(s.gpus, gpu{unit: unit, numa: numa, pciBusID: fmt.Sprintf("0000:%02x:00.0", bus+3+i), pcieRoot: root})
			s.nics = append(s.nics, nic{
				unit: unit, numa: numa, pciAddress: fmt.Sprintf("0000:%02x:00.0", bus+5+i), pcieRoot: root,
				rdmaDevice: fmt.Sprintf("mlx5_%d", index), ifName: fmt.Sprintf("gpu%drdma0", index),
			})
		}
	}
	return s
}

// gce returns the attributes that DRANET reads from Google's metadata server.
func gce(n Node, shape *shape) attributes {
	return attributes{}.
		text("gce.dra.net/block", n.Spine()).
		text("gce.dra.net/subBlock", n.Leaf()).
		text("gce.dra.net/host", n.Name()).
		text("gce.dra.net/machineType", shape.instanceType)
}

func gkeLabels(n Node) map[string]string {
	return map[string]string{
		"cloud.google.com/gce-topology-block":    n.Spine(),
		"cloud.google.com/gce-topology-subblock": n.Leaf(),
		"cloud.google.com/gce-topology-host":     n.Name(),
	}
}

// dgxh100Shape has the pairing and the addresses of NVIDIA's user guide. mlx5_1, 2, 7 and 8
// are storage ports, which DRANET cannot distinguish from the others. The names of the
// roots are arbitrary; the devices on each root are the guide's.
func dgxh100Shape() shape {
	s := shape{instanceType: "dgx-h100", arch: "amd64", cpu: "224", memory: "1950Gi", pods: "110", gpu: h100, nic: connectX7}
	type pair struct{ gpu, nic int }
	pairs := []pair{{0x1b, 0x18}, {0x43, 0x40}, {0x52, 0x4f}, {0x61, 0x5e}, {0x9d, 0x9a}, {0xc3, 0xc0}, {0xd1, 0xce}, {0xdf, 0xdc}}
	storage := map[int]int{0: 0x29, 4: 0xaa} // the bus of a storage NIC, by the unit before it in bus order
	for i, buses := range pairs {
		numa, root := int64(i/4), fmt.Sprintf("pci0000:%02x", buses.nic-3)
		s.gpus = append(s.gpus, gpu{unit: i, numa: numa, pciBusID: fmt.Sprintf("0000:%02x:00.0", buses.gpu), pcieRoot: root})
		s.addMLX5(i, numa, fmt.Sprintf("0000:%02x:00.0", buses.nic), root)
		if bus := storage[i]; bus != 0 {
			for port := range 2 {
				s.addMLX5(NoUnit, numa, fmt.Sprintf("0000:%02x:00.%d", bus, port), fmt.Sprintf("pci0000:%02x", bus-3))
			}
		}
	}
	return s
}

// addMLX5 adds an InfiniBand port. Ports are named in bus order.
func (s *shape) addMLX5(unit int, numa int64, address, root string) {
	s.nics = append(s.nics, nic{
		unit: unit, numa: numa, pciAddress: address, pcieRoot: root, rdmaDevice: fmt.Sprintf("mlx5_%d", len(s.nics)),
	})
}

// ocih100Shape has the buses of Oracle's topology file for BM.GPU.H100.8: each GPU has the
// two ports of one card. The names of the roots are arbitrary.
func ocih100Shape() shape {
	s := shape{
		instanceType: "BM.GPU.H100.8", arch: "amd64", cpu: "224", memory: "1950Gi", pods: "110",
		gpu: h100, nic: connectX7, cloud: oke, labels: ociLabels,
	}
	rdma := []int{0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17} // the other numbers are NICs of the host network
	for i, bus := range []int{0x0c, 0x2a, 0x41, 0x58, 0x86, 0xa5, 0xbd, 0xd5} {
		numa, root := int64(i/4), fmt.Sprintf("pci0000:%02x", bus-3)
		s.gpus = append(s.gpus, gpu{unit: i, numa: numa, pciBusID: fmt.Sprintf("0000:%02x:00.0", bus+3), pcieRoot: root})
		for port := range 2 {
			index := 2*i + port
			s.nics = append(s.nics, nic{
				unit: i, numa: numa, pciAddress: fmt.Sprintf("0000:%02x:00.%d", bus, port), pcieRoot: root,
				rdmaDevice: fmt.Sprintf("mlx5_%d", rdma[index]), ifName: fmt.Sprintf("rdma%d", index),
			})
		}
	}
	return s
}

// ocigb200Shape follows DRANET's OKE example, which shows the slices of a real node. GPUs and NICs publish roots that
// never match; a GPU and its NICs share a NUMA node.
func ocigb200Shape() shape {
	s := shape{
		instanceType: "BM.GPU.GB200-v3.4", arch: "arm64", cpu: "144", memory: "940Gi", pods: "110",
		gpu: gb200, nic: connectX8, rack: 18, cloud: oke, labels: ociLabels,
	}
	s.gpus = graceGPUs()
	rdma := []int{0, 1, 2, 3, 5, 6, 7, 8}
	for card, domain := range []string{"0000", "0002", "0010", "0012"} {
		numa := card / 2
		for port := range 2 {
			index := 2*card + port
			s.nics = append(s.nics, nic{
				unit: numa, numa: int64(numa), pciAddress: fmt.Sprintf("%s:03:00.%d", domain, port), pcieRoot: "pci" + domain + ":00",
				rdmaDevice: fmt.Sprintf("mlx5_%d", rdma[index]), ifName: fmt.Sprintf("rdma%d", index),
			})
		}
	}
	return s
}

// oke returns the attributes that DRANET reads from Oracle's metadata service. A rack is a GPU memory fabric.
func oke(n Node, shape *shape) attributes {
	attrs := attributes{}.
		text("oke.dra.net/hpcIslandId", n.Fleet.Name).
		text("oke.dra.net/networkBlockId", n.Spine()).
		text("oke.dra.net/localBlockId", n.Leaf()).
		text("oke.dra.net/rackId", n.Leaf())
	if shape.rack > 0 {
		attrs.text("oke.dra.net/gpuMemoryFabricId", n.Leaf())
	}
	return attrs
}

func ociLabels(n Node) map[string]string {
	return map[string]string{
		"oci.oraclecloud.com/host.network_block_id": n.Spine(),
		"oci.oraclecloud.com/host.rack_id":          n.Leaf(),
	}
}
