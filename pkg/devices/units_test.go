// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourceapi "k8s.io/api/resource/v1"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// Real machines have the expected units, by the rung of the ladder that applies to them.
func TestUnits(t *testing.T) {
	withoutGPUNUMA := ndH100v5()
	for _, gpu := range withoutGPUNUMA.gpus {
		delete(gpu, numaNode)
	}
	unknownSize := ndH100v5()
	for _, nic := range unknownSize.nics {
		nic["azure.dra.net/vmSize"] = "Standard_ND96isr_MI300X_v5"
	}
	gpusOnly := p4d()
	gpusOnly.nics = nil
	negative := machine{gpus: []attrs{{numaNode: -1}}, nics: []attrs{{"dra.net/numaNode": -1, "dra.net/rdma": true}}}
	pairs := []string{
		"pair00 numa0 GPU 1/1 RDMA NIC 1/1", "pair01 numa0 GPU 1/1 RDMA NIC 1/1",
		"pair02 numa0 GPU 1/1 RDMA NIC 1/1", "pair03 numa0 GPU 1/1 RDMA NIC 1/1",
		"pair04 numa1 GPU 1/1 RDMA NIC 1/1", "pair05 numa1 GPU 1/1 RDMA NIC 1/1",
		"pair06 numa1 GPU 1/1 RDMA NIC 1/1", "pair07 numa1 GPU 1/1 RDMA NIC 1/1", "loose numa-1",
	}
	tests := map[string]struct {
		machine machine
		want    []string
	}{
		"ND H100 v5 by its pair map":                         {ndH100v5(), pairs},
		"ND H100 v5 by its pair map without NUMA of GPUs":    {withoutGPUNUMA, pairs},
		"an Azure size without map by NUMA, mixed names":     {unknownSize, []string{"numa00 numa0 GPU 4/4 RDMA NIC 4/4", "numa01 numa1 GPU 4/4 RDMA NIC 4/4", "loose numa-1"}},
		"GB300 by NUMA, since only GPUs have roots":          {machineOf(fleet.NDGB300v6), []string{"numa00 numa0 GPU 2/2 RDMA NIC 2/2", "numa01 numa1 GPU 2/2 RDMA NIC 2/2", "loose numa-1"}},
		"OCI GB200 by NUMA, since roots never match":         {machineOf(fleet.OCIGB200), []string{"numa00 numa0 GPU 2/2 RDMA NIC 4/4", "numa01 numa1 GPU 2/2 RDMA NIC 4/4", "loose numa-1"}},
		"GPUs alone by NUMA, since no NIC shares their root": {gpusOnly, []string{"numa00 numa0 GPU 4/4", "numa01 numa1 GPU 4/4", "loose numa-1"}},
		"nothing known": {negative, []string{"loose numa-1 GPU 1/1 RDMA NIC 1/1"}},
		"p4d by PCIe root": {p4d(), []string{
			"pci0000:10 numa0 GPU 2/2 RDMA NIC 1/1", "pci0000:20 numa0 GPU 2/2 RDMA NIC 1/1",
			"pci0000:90 numa1 GPU 2/2 RDMA NIC 1/1", "pci0000:a0 numa1 GPU 2/2 RDMA NIC 1/1", "loose numa-1",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			view := inventory(test.machine.slices("n1")...).View()
			if diff := cmp.Diff(test.want, drawUnits(view, mustNode(t, view, "n1"))); diff != "" {
				t.Errorf("units (-want,+got):\n%s", diff)
			}
		})
	}
}

// Storage NICs are in units of their own and never beside a GPU.
func TestStorageNICsStandApart(t *testing.T) {
	view := inventory(dgxH100().slices("n1")...).View()
	paired, alone := 0, 0
	for _, line := range drawUnits(view, mustNode(t, view, "n1")) {
		switch {
		case strings.HasSuffix(line, " GPU 1/1 RDMA NIC 1/1"):
			paired++
		case strings.HasSuffix(line, " RDMA NIC 2/2"):
			alone += 2
		}
	}
	if paired != 8 || alone != 4 {
		t.Errorf("got %d units with a pair and %d NICs in units without GPU, want 8 and 4", paired, alone)
	}
}

// An admin's pair map replaces the built-in map.
func TestPairMapOfAdminWins(t *testing.T) {
	options := devices.DefaultOptions()
	options.PairMaps = append(options.PairMaps, devices.PairMap{
		VMSize: "standard_nd96isr_h100_v5",
		Units:  []devices.PairUnit{{Addresses: []string{"0001:00:00.0", "0108:00:00.0"}, NUMA: 1}},
	})
	inv := devices.New(options)
	inv.SyncSlices(ndH100v5().slices("n1"))
	view := inv.View()
	want := []string{"pair00 numa1 GPU 1/1 RDMA NIC 1/1", "loose numa-1 GPU 7/7 RDMA NIC 7/7"}
	if diff := cmp.Diff(want, drawUnits(view, mustNode(t, view, "n1"))); diff != "" {
		t.Errorf("units (-want,+got):\n%s", diff)
	}
}

// AttributeValues returns the values that a cloud publishes for the whole node on each of
// its NICs, both while pools are complete and while they are being replaced.
func TestAttributeValues(t *testing.T) {
	machine := firstNode(t, fleet.NDH100v5)
	name, nics := machine.Name(), machine.Slices()[1]
	inv := inventory(machine.Slices()...)
	check := func(when, attribute string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, inv.AttributeValues(name, attribute)); diff != "" {
			t.Errorf("%s, %s (-want,+got):\n%s", when, attribute, diff)
		}
	}
	check("at first", "azure.dra.net/placementGroupId", "pg-1")
	check("at first", "dra.net/numaNode", "0", "1")
	check("without the driver's own domain", "gpu.nvidia.com/type", "gpu")
	check("at first", "oke.dra.net/rackId")

	next := nics.DeepCopy()
	next.Spec.Pool.Generation, next.Spec.Pool.ResourceSliceCount = 2, 2
	inv.SetSlice(next)
	check("while a pool is being replaced", "azure.dra.net/placementGroupId", "pg-1")

	moved := next.DeepCopy()
	moved.Spec.Devices[3].Attributes["azure.dra.net/placementGroupId"] = resourceapi.DeviceAttribute{StringValue: new(string)}
	*moved.Spec.Devices[3].Attributes["azure.dra.net/placementGroupId"].StringValue = "pg-2"
	revision := inv.NodeRevision(name)
	inv.SetSlice(moved)
	check("when devices disagree", "azure.dra.net/placementGroupId", "pg-1", "pg-2")
	if inv.NodeRevision(name) <= revision {
		t.Error("the node's revision did not change with an attribute")
	}
	inv.DeleteSlice(moved.Name)
	check("when the driver is gone", "azure.dra.net/placementGroupId")
	name = "elsewhere"
	check("on an unknown node", "azure.dra.net/placementGroupId")
}
