// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/kubernetes/pkg/apis/resource"
	"k8s.io/kubernetes/pkg/apis/resource/install"
	"k8s.io/kubernetes/pkg/apis/resource/validation"
)

func TestNodesHaveTheLabelsOfTheirPosition(t *testing.T) {
	spec := mustParse(t, "shape=ndh100v5,spines=2,leaves=2,nodes=10,name=f")
	var names []string
	leaves := map[string]int{}
	for node := range spec.All() {
		object := node.Object()
		names = append(names, object.Name)
		leaves[object.Labels[LabelSpine]+" "+object.Labels[LabelLeaf]]++
		if object.Name != node.Name() || object.Labels[LabelLeaf] != node.Leaf() || object.Labels[LabelSpine] != node.Spine() {
			t.Errorf("node %s and its object disagree: %s %v", node.Name(), object.Name, object.Labels)
		}
	}
	if len(names) != spec.Size() || !slices.IsSorted(names) || len(slices.Compact(names)) != spec.Size() {
		t.Errorf("%d nodes, sorted %v, want %d distinct sorted ones", len(names), slices.IsSorted(names), spec.Size())
	}
	want := map[string]int{"f-s1 f-s1-l1": 10, "f-s1 f-s1-l2": 10, "f-s2 f-s2-l1": 10, "f-s2 f-s2-l2": 10}
	if diff := cmp.Diff(want, leaves); diff != "" {
		t.Errorf("nodes by spine and leaf (-want,+got):\n%s", diff)
	}
	if names[0] != "f-s1-l1-n01" || names[39] != "f-s2-l2-n10" {
		t.Errorf("nodes go from %s to %s", names[0], names[39])
	}
}

func TestNodesCarryOnlyValidLabels(t *testing.T) {
	for _, shape := range Shapes() {
		for node := range mustParse(t, "shape="+shape).All() {
			if _, err := labels.ValidatedSelectorFromSet(node.Object().Labels); err != nil {
				t.Errorf("shape %s: %v", shape, err)
			}
		}
	}
}

// ndh100v5 is the pairing of Azure's topology file, each as GPU, NIC, NUMA node.
var ndh100v5 = []string{
	"gpu-0 0001:00:00.0 mlx5_0 pci-0101-00-00-0 0", "gpu-1 0002:00:00.0 mlx5_1 pci-0102-00-00-0 0",
	"gpu-2 0003:00:00.0 mlx5_2 pci-0103-00-00-0 0", "gpu-3 0008:00:00.0 mlx5_3 pci-0104-00-00-0 0",
	"gpu-4 0009:00:00.0 mlx5_4 pci-0105-00-00-0 1", "gpu-5 000a:00:00.0 mlx5_5 pci-0106-00-00-0 1",
	"gpu-6 000b:00:00.0 mlx5_6 pci-0107-00-00-0 1", "gpu-7 000c:00:00.0 mlx5_7 pci-0108-00-00-0 1",
}

func TestNDH100v5HasTheDevicesOfTheTopologyFile(t *testing.T) {
	node := Default().at(0)
	slices := node.Slices()
	if len(slices) != 2 || slices[0].Spec.Driver != DriverGPU || slices[1].Spec.Driver != DriverNIC {
		t.Fatalf("want one slice of %s and one of %s, got %d", DriverGPU, DriverNIC, len(slices))
	}
	gpus, nics := slices[0].Spec.Devices, slices[1].Spec.Devices
	var pairs []string
	for i := range gpus {
		numa := *gpus[i].Attributes["resource.kubernetes.io/numaNode"].IntValue
		for _, name := range []resourcev1.QualifiedName{"resource.kubernetes.io/numaNode", "dra.net/numaNode"} {
			if nic := *nics[i].Attributes[name].IntValue; nic != numa {
				t.Errorf("pair %d: GPU on NUMA node %d, NIC's %s is %d", i, numa, name, nic)
			}
		}
		pairs = append(pairs, fmt.Sprintf("%s %s %s %s %d", gpus[i].Name, *gpus[i].Attributes["resource.kubernetes.io/pciBusID"].StringValue,
			*nics[i].Attributes["dra.net/rdmaDevice"].StringValue, nics[i].Name, numa))
	}
	if diff := cmp.Diff(ndh100v5, pairs); diff != "" {
		t.Errorf("pairs (-want,+got):\n%s", diff)
	}
	for _, device := range append(gpus, nics...) {
		if _, published := device.Attributes["resource.kubernetes.io/pcieRoot"]; published {
			t.Errorf("%s publishes a PCIe root, which Hyper-V has none of", device.Name)
		}
	}
}

func TestNICsHaveTheCloudsAttributes(t *testing.T) {
	spec := mustParse(t, "shape=ndh100v5,nodes=2,group=pg-7")
	for node := range spec.All() {
		for _, nic := range node.Slices()[1].Spec.Devices {
			got := []string{
				*nic.Attributes["azure.dra.net/placementGroupId"].StringValue, *nic.Attributes["azure.dra.net/vmSize"].StringValue,
			}
			if diff := cmp.Diff([]string{"pg-7", "Standard_ND96isr_H100_v5"}, got); diff != "" {
				t.Errorf("%s %s (-want,+got):\n%s", node.Name(), nic.Name, diff)
			}
		}
	}
}

func TestGPUIdentifiersAreUnique(t *testing.T) {
	seen := map[string]string{}
	for node := range Default().All() {
		for _, gpu := range node.Slices()[0].Spec.Devices {
			id := *gpu.Attributes["uuid"].StringValue
			if other, taken := seen[id]; taken {
				t.Errorf("%s/%s and %s are both %s", node.Name(), gpu.Name, other, id)
			}
			seen[id] = node.Name() + "/" + gpu.Name
		}
	}
}

func TestTheSameSpecGivesTheSameObjects(t *testing.T) {
	first, second := Default().at(7), Default().at(7)
	if diff := cmp.Diff(first.Object(), second.Object()); diff != "" {
		t.Errorf("nodes differ:\n%s", diff)
	}
	if diff := cmp.Diff(first.Slices(), second.Slices()); diff != "" {
		t.Errorf("slices differ:\n%s", diff)
	}
}

func TestOwnMakesTheNodeTheController(t *testing.T) {
	node := Default().at(0)
	object := node.Object()
	object.UID = "u"
	slices := node.Slices()
	Own(slices, object)
	for _, slice := range slices {
		owner := slice.OwnerReferences[0]
		if owner.Name != object.Name || owner.UID != "u" || !*owner.Controller {
			t.Errorf("slice %s is owned by %v", slice.Name, owner)
		}
	}
}

// TestAPIServerAcceptsEveryShape calls the API server's own validation, which limits the
// number and attributes of devices.
func TestAPIServerAcceptsEveryShape(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	for _, shape := range Shapes() {
		for _, slice := range mustParse(t, "shape="+shape).at(0).Slices() {
			internal := &resource.ResourceSlice{}
			if err := scheme.Convert(slice, internal, nil); err != nil {
				t.Fatal(err)
			}
			report(t, shape+" "+slice.Name, validation.ValidateResourceSlice(internal))
		}
	}
	for _, class := range Classes() {
		internal := &resource.DeviceClass{}
		if err := scheme.Convert(class, internal, nil); err != nil {
			t.Fatal(err)
		}
		report(t, class.Name, validation.ValidateDeviceClass(internal))
	}
}

func TestClassesSelectTheirDevices(t *testing.T) {
	node := Default().at(0)
	gpu, nic := node.Slices()[0].Spec.Devices[0], node.Slices()[1].Spec.Devices[0]
	flagged := resourcev1.Device{Name: "flagged", Attributes: attributes{}.truth("dra.net/rdma", true)}
	unflagged := resourcev1.Device{Name: "unflagged", Attributes: attributes{}.truth("dra.net/rdma", false).text("dra.net/rdmaDevice", "mlx5_0")}
	ethernet := resourcev1.Device{Name: "ethernet", Attributes: attributes{}.truth("dra.net/rdma", false).text("dra.net/ifName", "eth1")}
	bare := resourcev1.Device{Name: "bare"}
	mig := resourcev1.Device{Name: "mig", Attributes: attributes{}.text("type", "mig")}
	got := map[string][]string{}
	for _, class := range Classes() {
		for _, candidate := range []struct {
			driver string
			device resourcev1.Device
		}{
			{DriverGPU, gpu}, {DriverGPU, mig}, {DriverNIC, nic}, {DriverNIC, flagged}, {DriverNIC, unflagged}, {DriverNIC, ethernet}, {DriverNIC, bare},
		} {
			if selects(t, class, candidate.driver, candidate.device) {
				got[class.Name] = append(got[class.Name], candidate.device.Name)
			}
		}
	}
	want := map[string][]string{
		ClassGPU:  {"gpu-0"},
		ClassNIC:  {"pci-0101-00-00-0", "flagged", "unflagged", "ethernet", "bare"},
		ClassRDMA: {"pci-0101-00-00-0", "flagged", "unflagged"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("devices by class (-want,+got):\n%s", diff)
	}
}

// selects reports whether all selectors of a class match the device. Like the allocator, it
// uses the stock compiler.
func selects(t *testing.T, class *resourcev1.DeviceClass, driver string, device resourcev1.Device) bool {
	t.Helper()
	for _, selector := range class.Spec.Selectors {
		program := cel.GetCompiler(cel.Features{}).CompileCELExpression(selector.CEL.Expression, cel.Options{})
		if program.Error != nil {
			t.Fatalf("class %s: %v", class.Name, program.Error)
		}
		matches, _, err := program.DeviceMatches(t.Context(), cel.Device{Driver: driver, Attributes: device.Attributes, Capacity: device.Capacity})
		if err != nil {
			t.Fatalf("class %s on %s: %v", class.Name, device.Name, err)
		}
		if !matches {
			return false
		}
	}
	return true
}

func report(t *testing.T, what string, problems field.ErrorList) {
	t.Helper()
	for _, problem := range problems {
		t.Errorf("%s: %v", what, problem)
	}
}

func mustParse(t *testing.T, text string) Spec {
	t.Helper()
	spec, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}
