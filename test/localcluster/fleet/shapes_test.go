// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourcev1 "k8s.io/api/resource/v1"
)

// published lists the devices that the drivers publish for the first node of a shape, by
// driver.
func published(t *testing.T, text string) map[string][]resourcev1.Device {
	t.Helper()
	devices := map[string][]resourcev1.Device{}
	for _, slice := range mustParse(t, text).at(0).Slices() {
		devices[slice.Spec.Driver] = slice.Spec.Devices
	}
	return devices
}

func textOf(device resourcev1.Device, name resourcev1.QualifiedName) string {
	if value, ok := device.Attributes[name]; ok && value.StringValue != nil {
		return *value.StringValue
	}
	return ""
}

// summary describes a shape: GPUs and NICs by unit and NUMA node, and the number of each
// that publish a PCIe root.
func summary(t *testing.T, shape string) string {
	t.Helper()
	places := mustParse(t, "shape="+shape).at(0).Places()
	units := map[Place][2]int{}
	var roots [2]int
	for i, driver := range []string{DriverGPU, DriverNIC} {
		for _, device := range published(t, "shape="+shape)[driver] {
			at, known := places[device.Name]
			if !known {
				t.Errorf("shape %s: nobody says where %s stands", shape, device.Name)
			}
			counts := units[at]
			counts[i]++
			units[at] = counts
			if textOf(device, "resource.kubernetes.io/pcieRoot") != "" {
				roots[i]++
			}
		}
	}
	var lines []string
	for at, counts := range units {
		lines = append(lines, fmt.Sprintf("%d.%d=%d+%d", at.NUMA, at.Unit, counts[0], counts[1]))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%s roots %d+%d", strings.Join(lines, " "), roots[0], roots[1])
}

// Each line is NUMA.unit=GPUs+NICs, and the number of GPUs and NICs that publish a root.
func TestShapesAreTheHardware(t *testing.T) {
	want := map[string]string{
		NDH100v5:  "0.0=1+1 0.1=1+1 0.2=1+1 0.3=1+1 1.4=1+1 1.5=1+1 1.6=1+1 1.7=1+1 roots 0+0",
		NDGB300v6: "0.0=2+2 1.1=2+2 roots 4+0",
		P5:        "0.0=1+4 0.1=1+4 0.2=1+4 0.3=1+4 1.4=1+4 1.5=1+4 1.6=1+4 1.7=1+4 roots 8+32",
		P4d:       "0.0=2+1 0.1=2+1 1.2=2+1 1.3=2+1 roots 8+4",
		A4:        "0.0=2+2 0.1=2+2 1.2=2+2 1.3=2+2 roots 8+8",
		DGXH100:   "0.-1=0+2 0.0=1+1 0.1=1+1 0.2=1+1 0.3=1+1 1.-1=0+2 1.4=1+1 1.5=1+1 1.6=1+1 1.7=1+1 roots 8+12",
		OCIH100:   "0.0=1+2 0.1=1+2 0.2=1+2 0.3=1+2 1.4=1+2 1.5=1+2 1.6=1+2 1.7=1+2 roots 8+16",
		OCIGB200:  "0.0=2+4 1.1=2+4 roots 4+8",
		Plain:     " roots 0+0",
	}
	got := map[string]string{}
	for _, shape := range Shapes() {
		got[shape] = summary(t, shape)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shapes (-want,+got):\n%s", diff)
	}
}

// Published attributes must not contradict the hardware: devices of a root have the same
// unit, and NUMA nodes are correct.
func TestPublishedAttributesMatchTheHardware(t *testing.T) {
	for _, shape := range Shapes() {
		places := mustParse(t, "shape="+shape).at(0).Places()
		unitOf, addresses := map[string]int{}, map[string]string{}
		for driver, devices := range published(t, "shape="+shape) {
			for _, device := range devices {
				at, physical := places[device.Name]
				if !physical {
					continue
				}
				if numa := device.Attributes["resource.kubernetes.io/numaNode"].IntValue; numa == nil || int(*numa) != at.NUMA {
					t.Errorf("%s %s: NUMA node %v is published, it stands at %v", shape, device.Name, numa, at)
				}
				address := max(textOf(device, "resource.kubernetes.io/pciBusID"), textOf(device, "dra.net/pciAddress"))
				if other, taken := addresses[address]; taken || address == "" {
					t.Errorf("%s %s: address %q, which %q has", shape, device.Name, address, other)
				}
				addresses[address] = device.Name
				root := textOf(device, "resource.kubernetes.io/pcieRoot")
				if root == "" {
					continue
				}
				if unit, known := unitOf[root]; known && unit != at.Unit {
					t.Errorf("%s %s (%s): unit %d, but its root %s is that of unit %d", shape, device.Name, driver, at.Unit, root, unit)
				}
				unitOf[root] = at.Unit
			}
		}
	}
}

func TestDGXStoragePortsLookLikeTheOthers(t *testing.T) {
	places := mustParse(t, "shape=dgxh100").at(0).Places()
	var storage []string
	for _, nic := range published(t, "shape=dgxh100")[DriverNIC] {
		if !*nic.Attributes["dra.net/rdma"].BoolValue {
			t.Errorf("%s is not published as RDMA NIC", nic.Name)
		}
		if places[nic.Name].Unit == NoUnit {
			storage = append(storage, textOf(nic, "dra.net/rdmaDevice"))
		}
	}
	if diff := cmp.Diff([]string{"mlx5_1", "mlx5_2", "mlx5_7", "mlx5_8"}, storage); diff != "" {
		t.Errorf("storage ports (-want,+got):\n%s", diff)
	}
}

func TestRackIsAnNVLinkDomain(t *testing.T) {
	for _, shape := range []string{NDGB300v6, OCIGB200} {
		cliques := map[string]map[string]int{}
		for node := range mustParse(t, "shape="+shape+",spines=2,leaves=2,nodes=18").All() {
			clique := node.Object().Labels[LabelClique]
			if cliques[clique] == nil {
				cliques[clique] = map[string]int{}
			}
			cliques[clique][node.Leaf()]++
		}
		for clique, leaves := range cliques {
			if len(leaves) != 1 || slices.Collect(maps.Values(leaves))[0] != 18 {
				t.Errorf("%s: clique %q has nodes in %v", shape, clique, leaves)
			}
		}
		if len(cliques) != 4 {
			t.Errorf("%s: %d cliques for 4 racks", shape, len(cliques))
		}
	}
	if clique, found := Default().at(0).Object().Labels[LabelClique]; found {
		t.Errorf("a node whose NVLink ends at its case is in clique %q", clique)
	}
}

// Each cloud publishes a node's position in its own labels and in attributes of every NIC.
func TestCloudsPublishThePositionOfNodes(t *testing.T) {
	for text, want := range map[string][]string{
		"shape=ndh100v5": {"azure.dra.net/placementGroupId=pg"},
		"shape=ndgb300v6": {
			"azure.dra.net/placementGroupId=pg", "azure.dra.net/interconnectGroupId=" + uuid("interconnect-group", "f-s1"),
			"azure.dra.net/interconnectSubgroupId=" + uuid("interconnect-subgroup", "f-s1-l1"), LabelClique + "=" + uuid("nvlink", "f-s1-l1") + ".1",
		},
		"shape=p5":  {"topology.k8s.aws/network-node-layer-1=f", "topology.k8s.aws/network-node-layer-2=f-s1", "topology.k8s.aws/network-node-layer-3=f-s1-l1"},
		"shape=p4d": {"topology.k8s.aws/network-node-layer-3=f-s1-l1"},
		"shape=a4": {
			"gce.dra.net/block=f-s1", "gce.dra.net/subBlock=f-s1-l1", "gce.dra.net/host=f-s1-l1-n1",
			"cloud.google.com/gce-topology-block=f-s1", "cloud.google.com/gce-topology-subblock=f-s1-l1", "cloud.google.com/gce-topology-host=f-s1-l1-n1",
		},
		"shape=ocih100": {
			"oke.dra.net/hpcIslandId=f", "oke.dra.net/networkBlockId=f-s1", "oke.dra.net/localBlockId=f-s1-l1",
			"oci.oraclecloud.com/host.network_block_id=f-s1", "oci.oraclecloud.com/host.rack_id=f-s1-l1",
		},
		"shape=ocigb200": {"oke.dra.net/gpuMemoryFabricId=f-s1-l1", "oke.dra.net/rackId=f-s1-l1"},
	} {
		node := mustParse(t, text+",name=f,group=pg").at(0)
		for _, fact := range want {
			key, value, _ := strings.Cut(fact, "=")
			if node.Object().Labels[key] == value {
				continue
			}
			for _, nic := range published(t, text+",name=f,group=pg")[DriverNIC] {
				if got := textOf(nic, resourcev1.QualifiedName(key)); got != value {
					t.Errorf("%s: %s says %s=%q, want %q", text, nic.Name, key, got, value)
				}
			}
		}
	}
}

// The values are the number of devices of one node that each class selects.
func TestClassesSelectTheDevicesOfTheirCloud(t *testing.T) {
	want := map[string]string{
		NDH100v5: "8 gpu.nvidia.com, 8 dranet.net, 8 rdma.dranet.net",
		NDGB300v6: "4 gpu.nvidia.com, 4 dranet.net, 4 rdma.dranet.net, 1 compute-domain-default-channel.nvidia.com, " +
			"1 compute-domain-daemon.nvidia.com",
		P5:      "8 gpu.nvidia.com, 32 dranet.net, 32 rdma.dranet.net, 32 efa.networking.k8s.aws",
		P4d:     "8 gpu.nvidia.com, 4 dranet.net, 4 rdma.dranet.net, 4 efa.networking.k8s.aws",
		A4:      "8 gpu.nvidia.com, 8 dranet.net, 8 rdma.dranet.net, 8 mrdma.google.com",
		DGXH100: "8 gpu.nvidia.com, 12 dranet.net, 12 rdma.dranet.net",
		OCIH100: "8 gpu.nvidia.com, 16 dranet.net, 16 rdma.dranet.net",
		OCIGB200: "4 gpu.nvidia.com, 8 dranet.net, 8 rdma.dranet.net, 1 compute-domain-default-channel.nvidia.com, " +
			"1 compute-domain-daemon.nvidia.com",
		Plain: "",
	}
	got := map[string]string{}
	for _, shape := range Shapes() {
		var counts []string
		for _, class := range Classes() {
			count := 0
			for driver, devices := range published(t, "shape="+shape) {
				for _, device := range devices {
					if selects(t, class, driver, device) {
						count++
					}
				}
			}
			if count > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", count, class.Name))
			}
		}
		got[shape] = strings.Join(counts, ", ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("devices by class (-want,+got):\n%s", diff)
	}
}
