// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// attrs are attributes in short form. Values may be string, int or bool.
type attrs map[string]any

func device(name string, of attrs) resourceapi.Device {
	d := resourceapi.Device{Name: name, Attributes: map[resourceapi.QualifiedName]resourceapi.DeviceAttribute{}}
	for key, value := range of {
		var attribute resourceapi.DeviceAttribute
		switch value := value.(type) {
		case string:
			attribute.StringValue = &value
		case int:
			attribute.IntValue = ptr.To(int64(value))
		case bool:
			attribute.BoolValue = &value
		}
		d.Attributes[resourceapi.QualifiedName(key)] = attribute
	}
	return d
}

// slice returns a complete pool of one node, named after the node.
func slice(driver, node string, of ...resourceapi.Device) *resourceapi.ResourceSlice {
	return &resourceapi.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: node + "-" + driver},
		Spec: resourceapi.ResourceSliceSpec{
			Driver: driver, NodeName: &node, Devices: of,
			Pool: resourceapi.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1},
		},
	}
}

// machine is a hardware shape as published by NVIDIA's driver and DRANET.
type machine struct{ gpus, nics []attrs }

func (m machine) slices(node string) []*resourceapi.ResourceSlice {
	var gpus, nics []resourceapi.Device
	for i, of := range m.gpus {
		of["type"], of["uuid"] = "gpu", fmt.Sprintf("GPU-%s-%d", node, i)
		gpus = append(gpus, device(fmt.Sprintf("gpu-%d", i), of))
	}
	for i, of := range m.nics {
		nics = append(nics, device(fmt.Sprintf("nic-%02d", i), of))
	}
	slices := []*resourceapi.ResourceSlice{slice("gpu.nvidia.com", node, gpus...)}
	if len(nics) > 0 {
		slices = append(slices, slice("dra.net", node, nics...))
	}
	return slices
}

const (
	pcieRoot = "resource.kubernetes.io/pcieRoot"
	numaNode = "resource.kubernetes.io/numaNode"
)

// firstNode returns a node of a hardware shape.
func firstNode(t testing.TB, shape string) fleet.Node {
	t.Helper()
	spec, err := fleet.Parse("shape=" + shape + ",group=pg-1")
	if err != nil {
		t.Fatal(err)
	}
	for node := range spec.All() {
		return node
	}
	panic("a fleet without nodes")
}

// machineOf returns a hardware shape as published by the drivers, for tests that change it.
// Its NICs are numbered in order.
func machineOf(shape string) machine {
	spec, err := fleet.Parse("shape=" + shape + ",group=pg-1")
	if err != nil {
		panic(err)
	}
	var m machine
	for node := range spec.All() {
		for _, published := range node.Slices() {
			for _, d := range published.Spec.Devices {
				switch published.Spec.Driver {
				case fleet.DriverGPU:
					m.gpus = append(m.gpus, attrsOf(d))
				case fleet.DriverNIC:
					m.nics = append(m.nics, attrsOf(d))
				}
			}
		}
	}
	return m
}

func attrsOf(d resourceapi.Device) attrs {
	of := attrs{}
	for name, value := range d.Attributes {
		switch {
		case value.StringValue != nil:
			of[string(name)] = *value.StringValue
		case value.IntValue != nil:
			of[string(name)] = int(*value.IntValue)
		case value.BoolValue != nil:
			of[string(name)] = *value.BoolValue
		}
	}
	return of
}

// ndH100v5 returns Azure's ND96isr_H100_v5. Its pairs are known only by address. AKS
// publishes it like this under NVIDIA's own network driver: rdma is false.
func ndH100v5() machine {
	m := machineOf(fleet.NDH100v5)
	for _, nic := range m.nics {
		nic["dra.net/rdma"] = false
	}
	return m
}

func p4d() machine { return machineOf(fleet.P4d) }

func dgxH100() machine { return machineOf(fleet.DGXH100) }

// fleetClasses returns the DeviceClasses that come with the drivers.
func fleetClasses() classes {
	all := classes{}
	for _, class := range fleet.Classes() {
		all[class.Name] = class
	}
	return all
}

// classes is a set of DeviceClasses by name.
type classes map[string]*resourceapi.DeviceClass

func (c classes) Get(name string) (*resourceapi.DeviceClass, error) {
	if class, ok := c[name]; ok {
		return class, nil
	}
	return nil, apierrors.NewNotFound(resourceapi.Resource("deviceclasses"), name)
}

func (c classes) List() ([]*resourceapi.DeviceClass, error) { return nil, nil }

func (c classes) GetDeviceClass(name v1.ResourceName) *resourceapi.DeviceClass {
	for _, class := range c {
		if class.Spec.ExtendedResourceName != nil && *class.Spec.ExtendedResourceName == string(name) {
			return class
		}
	}
	return c[strings.TrimPrefix(string(name), resourceapi.ResourceDeviceClassPrefix)]
}

func class(name string, expressions ...string) *resourceapi.DeviceClass {
	return &resourceapi.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       resourceapi.DeviceClassSpec{Selectors: selectors(expressions...)},
	}
}

func selectors(expressions ...string) []resourceapi.DeviceSelector {
	var list []resourceapi.DeviceSelector
	for _, expression := range expressions {
		list = append(list, resourceapi.DeviceSelector{CEL: &resourceapi.CELDeviceSelector{Expression: expression}})
	}
	return list
}

func standardClasses() classes {
	gpu := class("gpu", `device.driver == "gpu.nvidia.com" && device.attributes["gpu.nvidia.com"].type == "gpu"`)
	gpu.Spec.ExtendedResourceName = ptr.To("nvidia.com/gpu")
	return classes{
		"gpu":  gpu,
		"mig":  class("mig", `device.driver == "gpu.nvidia.com" && device.attributes["gpu.nvidia.com"].type == "mig"`),
		"nic":  class("nic", `device.driver == "dra.net"`),
		"rdma": class("rdma", `device.driver == "dra.net"`, `device.attributes["dra.net"].?rdma.orValue(false)`),
	}
}

// wants returns an exact request.
func wants(name, class string, count int64, expressions ...string) resourceapi.DeviceRequest {
	return resourceapi.DeviceRequest{Name: name, Exactly: &resourceapi.ExactDeviceRequest{
		DeviceClassName: class, Count: count, AllocationMode: resourceapi.DeviceAllocationModeExactCount, Selectors: selectors(expressions...),
	}}
}

// wantsAll returns a request for every device of a class.
func wantsAll(name, class string) resourceapi.DeviceRequest {
	request := wants(name, class, 0)
	request.Exactly.AllocationMode = resourceapi.DeviceAllocationModeAll
	return request
}

// wantsFirst returns a request with alternatives named alt-0 and so on.
func wantsFirst(name string, alternatives ...resourceapi.DeviceRequest) resourceapi.DeviceRequest {
	request := resourceapi.DeviceRequest{Name: name}
	for i, alternative := range alternatives {
		exact := alternative.Exactly
		request.FirstAvailable = append(request.FirstAvailable, resourceapi.DeviceSubRequest{
			Name: fmt.Sprintf("alt-%d", i), DeviceClassName: exact.DeviceClassName, Count: exact.Count,
			AllocationMode: exact.AllocationMode, Selectors: exact.Selectors,
		})
	}
	return request
}

// pod owns the claims that the function claim returns.
var pod = &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "worker", UID: "pod"}}

func claim(name string, requests ...resourceapi.DeviceRequest) *resourceapi.ResourceClaim {
	return &resourceapi.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ml", Name: name, UID: types.UID(name),
			OwnerReferences: []metav1.OwnerReference{{Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: ptr.To(true)}},
		},
		Spec: resourceapi.ResourceClaimSpec{Devices: resourceapi.DeviceClaim{Requests: requests}},
	}
}

// match adds a matchAttribute constraint to a claim.
func match(c *resourceapi.ResourceClaim, attribute string, requests ...string) *resourceapi.ResourceClaim {
	c.Spec.Devices.Constraints = append(c.Spec.Devices.Constraints, resourceapi.DeviceConstraint{
		MatchAttribute: ptr.To(resourceapi.FullyQualifiedName(attribute)), Requests: requests,
	})
	return c
}

// allocated returns an allocation of whole devices. ids have the form driver/pool/device.
func allocated(ids ...string) *resourceapi.AllocationResult {
	result := &resourceapi.AllocationResult{}
	for _, id := range ids {
		parts := strings.Split(id, "/")
		result.Devices.Results = append(result.Devices.Results, resourceapi.DeviceRequestAllocationResult{
			Driver: parts[0], Pool: parts[1], Device: parts[2],
		})
	}
	return result
}

func node(name string) *v1.Node {
	return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1.LabelHostname: name}}}
}

func inventory(slices ...*resourceapi.ResourceSlice) *devices.Inventory {
	inv := devices.New(devices.DefaultOptions())
	inv.SyncSlices(slices)
	return inv
}

func mustRequest(t *testing.T, inv *devices.Inventory, claims ...*resourceapi.ResourceClaim) devices.Request {
	t.Helper()
	request, err := inv.Request(pod, claims, standardClasses())
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func mustNode(t *testing.T, view *devices.View, name string) devices.NodeDevices {
	t.Helper()
	counts, err := view.Node(node(name), nil)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// slots returns the number of pods of a request that fit on a node by the view's counts.
func slots(t *testing.T, view *devices.View, request devices.Request, name string) int {
	t.Helper()
	counts := mustNode(t, view, name)
	return optionSlots(view.Least(&request), counts)
}

func optionSlots(option devices.Option, counts devices.NodeDevices) int {
	supply := make([]int, len(counts.Units[0].Free))
	for _, unit := range counts.Units {
		for kind, free := range unit.Free {
			supply[kind] += free
		}
	}
	fit := 1 << 20
	if len(option.Demands) > 0 {
		fit = devices.Times(option.Demands, supply)
	}
	for _, limit := range option.PodLimits {
		fit = min(fit, counts.PodLimits[limit])
	}
	return fit
}

// drawUnits returns one line for each unit of a node: name, NUMA node, free/total by label.
func drawUnits(view *devices.View, counts devices.NodeDevices) []string {
	var lines []string
	for _, unit := range counts.Units {
		line := fmt.Sprintf("%s numa%d", unit.Name, unit.NUMA)
		for kind, total := range unit.Total {
			if total > 0 {
				line += fmt.Sprintf(" %s %d/%d", view.Kinds[kind].Label, unit.Free[kind], total)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func quantity(text string) resource.Quantity { return resource.MustParse(text) }
