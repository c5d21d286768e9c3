// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// GPUs and RDMA NICs are recognised by the attributes that drivers publish.
func TestRecognition(t *testing.T) {
	const sriov = "sriovnetwork.k8snetworkplumbingwg.io"
	tests := map[string]struct {
		driver string
		of     attrs
		want   string
	}{
		"a whole NVIDIA GPU":                     {"gpu.nvidia.com", attrs{"type": "gpu"}, "GPU"},
		"an NVIDIA GPU under an old driver":      {"gpu.nvidia.com", attrs{}, "GPU"},
		"a MIG slice":                            {"gpu.nvidia.com", attrs{"type": "mig"}, "GPU"},
		"a GPU for virtual machines":             {"gpu.nvidia.com", attrs{"type": "vfio"}, ""},
		"an AMD GPU":                             {"gpu.amd.com", attrs{"type": "amdgpu"}, "GPU"},
		"an IMEX channel":                        {"compute-domain.nvidia.com", attrs{"type": "channel", "id": 0}, ""},
		"a DRANET NIC with RDMA":                 {"dra.net", attrs{"dra.net/rdma": true}, "RDMA NIC"},
		"a DRANET NIC under the vendor's driver": {"dra.net", attrs{"dra.net/rdma": false, "dra.net/rdmaDevice": "mlx5_0"}, "RDMA NIC"},
		"a DRANET NIC without RDMA":              {"dra.net", attrs{"dra.net/rdma": false, "dra.net/ifName": "eth1"}, ""},
		"an EFA":                                 {"dra.net", attrs{"dra.net/pciDevice": "Elastic Fabric Adapter (EFA)"}, "RDMA NIC"},
		"an ENA":                                 {"dra.net", attrs{"dra.net/pciDevice": "Elastic Network Adapter (ENA)"}, ""},
		"a virtual function with RDMA":           {sriov, attrs{sriov + "/rdmaCapable": true}, "RDMA NIC"},
		"the same without the driver's domain":   {sriov, attrs{"rdmaCapable": true}, "RDMA NIC"},
		"a virtual function without RDMA":        {sriov, attrs{sriov + "/rdmaCapable": false}, ""},
		"a device of another driver":             {"gpu.example.com", attrs{"type": "gpu", "dra.net/rdma": true}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			view := inventory(slice(test.driver, "n1", device("d", test.of))).View()
			got := ""
			for _, kind := range view.Kinds {
				got += kind.Label
			}
			if got != test.want {
				t.Errorf("recognised as %q, want %q", got, test.want)
			}
		})
	}
}

// A claim for RDMA NICs is recognised by its class if managed clouds name one, and
// otherwise by its selected devices: on every machine of the fleets, through every class of
// its cloud and as an extended resource.
func TestRDMAIsKnownByClassAndBySelection(t *testing.T) {
	nics := fleetClasses()[fleet.ClassRDMA].DeepCopy()
	nics.Name, nics.Spec.ExtendedResourceName = "nics", new(string)
	*nics.Spec.ExtendedResourceName = "example.com/nic"
	all := fleetClasses()
	all["nics"] = nics
	asking := pod.DeepCopy()
	asking.Spec.Containers = []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{"example.com/nic": quantity("2")}}}}
	for _, shape := range fleet.Shapes() {
		if shape == fleet.Plain {
			continue
		}
		inv := inventory(firstNode(t, shape).Slices()...)
		for class, want := range map[string]bool{
			fleet.ClassGPU: false, fleet.ClassChannel: false, fleet.ClassRDMA: true, fleet.ClassNIC: true, fleet.ClassEFA: true, fleet.ClassMRDMA: true,
		} {
			request, err := inv.Request(pod, []*resourceapi.ResourceClaim{claim("c", wants("d", class, 1))}, all)
			if err != nil || request.RDMA != want {
				t.Errorf("%s: a claim of class %s asks for RDMA: %v (%v), want %v", shape, class, request.RDMA, err, want)
			}
		}
		request, err := inv.Request(asking, nil, all)
		if err != nil || !request.RDMA {
			t.Errorf("%s: an extended resource for RDMA NICs asks for RDMA: %v (%v)", shape, request.RDMA, err)
		}
	}
}

// Every Azure size with a published topology file has its pairs.
func TestPairMapsOfAzureSizes(t *testing.T) {
	pairs := func(domains ...string) []string { return domains }
	ndv4 := pairs("0003 0004 0103 0104 n0", "0001 0002 0101 0102 n1", "000d 000e 0107 0108 n2", "000b 000c 0105 0106 n3")
	ndv5 := pairs("0001 0101 n0", "0002 0102 n0", "0003 0103 n0", "0008 0104 n0", "0009 0105 n1", "000a 0106 n1", "000b 0107 n1", "000c 0108 n1")
	want := map[string][]string{
		"Standard_ND96asr_v4": ndv4, "Standard_ND96amsr_A100_v4": ndv4,
		"Standard_ND96isr_H100_v5": ndv5, "Standard_ND96isrf_H100_v5": ndv5,
		"Standard_ND96isr_H200_v5": ndv5, "Standard_ND96isrf_H200_v5": ndv5,
	}
	got := map[string][]string{}
	for _, pairMap := range devices.DefaultPairMaps() {
		for _, unit := range pairMap.Units {
			line := ""
			for _, address := range unit.Addresses {
				line += address[:len("0000")] + " "
			}
			got[pairMap.VMSize] = append(got[pairMap.VMSize], fmt.Sprintf("%sn%d", line, unit.NUMA))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pairs by size (-want,+got):\n%s", diff)
	}
}

// The ladder's units on a machine are those of its hardware.
func TestUnitsAreTheHardware(t *testing.T) {
	for _, shape := range fleet.Shapes() {
		machine := firstNode(t, shape)
		inv := inventory(machine.Slices()...)
		for name, gpuAt := range machine.Places() {
			for other, nicAt := range machine.Places() {
				if !isGPUName(name) || isGPUName(other) {
					continue
				}
				held := allocated(fleet.DriverGPU+"/"+machine.Name()+"/"+name, fleet.DriverNIC+"/"+machine.Name()+"/"+other)
				got := inv.Alignment(machine.Name(), []*resourceapi.AllocationResult{held})
				paired, near := gpuAt.Unit == nicAt.Unit, gpuAt.NUMA == nicAt.NUMA
				if (got.Unpaired == 0) != paired || (got.Crossing == 0) != near {
					t.Errorf("%s: %s and %s are at %v and %v, alignment %+v", shape, name, other, gpuAt, nicAt, got)
				}
			}
		}
	}
}
