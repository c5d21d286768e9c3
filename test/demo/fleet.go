// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"

	"github.com/dovetail-dev/dovetail/test/demo/picture"
)

// Labels and device attributes of the demo's fleet.
const (
	spineLabel = "network.topology.nvidia.com/spine"
	leafLabel  = "network.topology.nvidia.com/leaf"
	gpuDriver  = "gpu.nvidia.com"
	nicDriver  = "dra.net"

	gpuAddress = resourceapi.QualifiedName("resource.kubernetes.io/pciBusID")
	nicAddress = resourceapi.QualifiedName("dra.net/pciAddress")
	numaNode   = resourceapi.QualifiedName("resource.kubernetes.io/numaNode")
)

// deviceKey identifies a device. In this fleet each node is one device pool, of the same name.
type deviceKey struct{ driver, node, name string }

// holder is the pod that holds a device, with the letter of its gang.
type holder struct {
	letter picture.Letter
	pod    string
}

// fleet converts an observation to the input of the picture package, which draws the devices.
func (o *observation) fleet() picture.Fleet {
	holders := o.holders()
	var fleet picture.Fleet
	for _, node := range o.nodes {
		leaf := leafOf(spineOf(&fleet, node.Labels[spineLabel]), node.Labels[leafLabel])
		leaf.Nodes = append(leaf.Nodes, picture.Node{
			Name:    node.Name,
			GPUs:    o.devices(gpuDriver, node.Name, gpuAddress, holders),
			NICs:    o.devices(nicDriver, node.Name, nicAddress, holders),
			CPUOnly: o.podsWithoutDevices(node.Name),
		})
	}
	for _, g := range gangs {
		if members := o.members(g); len(members) > 0 {
			fleet.Gangs = append(fleet.Gangs, picture.Gang{Letter: g.letter, Name: g.String(), Bound: bound(members), Members: len(members)})
		}
	}
	return fleet
}

// spineOf returns a spine of the fleet, and appends it if it is missing. Nodes are sorted,
// so spines are as well.
func spineOf(fleet *picture.Fleet, name string) *picture.Spine {
	at := slices.IndexFunc(fleet.Spines, func(s picture.Spine) bool { return s.Name == name })
	if at < 0 {
		at = len(fleet.Spines)
		fleet.Spines = append(fleet.Spines, picture.Spine{Name: name})
	}
	return &fleet.Spines[at]
}

func leafOf(spine *picture.Spine, name string) *picture.Leaf {
	at := slices.IndexFunc(spine.Leaves, func(l picture.Leaf) bool { return l.Name == name })
	if at < 0 {
		at = len(spine.Leaves)
		spine.Leaves = append(spine.Leaves, picture.Leaf{Name: name})
	}
	return &spine.Leaves[at]
}

// holders returns the pod that holds each allocated device.
func (o *observation) holders() map[deviceKey]holder {
	holders := map[deviceKey]holder{}
	for _, g := range gangs {
		for _, pod := range o.members(g) {
			for _, claim := range o.claimsOf(pod) {
				for _, result := range results(claim) {
					holders[deviceKey{result.Driver, result.Pool, result.Device}] = holder{g.letter, pod.Name}
				}
			}
		}
	}
	return holders
}

// devices returns the devices of one driver on one node, in the order of their
// addresses. On an ND H100 v5 the i-th GPU and the i-th NIC are a pair.
func (o *observation) devices(driver, node string, address resourceapi.QualifiedName, holders map[deviceKey]holder) []picture.Device {
	var offered []resourceapi.Device
	for _, slice := range o.slices {
		if slice.Spec.Driver == driver && slice.Spec.NodeName != nil && *slice.Spec.NodeName == node {
			offered = append(offered, slice.Spec.Devices...)
		}
	}
	slices.SortFunc(offered, func(a, b resourceapi.Device) int {
		return strings.Compare(text(a, address), text(b, address))
	})
	var devices []picture.Device
	for _, device := range offered {
		has := holders[deviceKey{driver, node, device.Name}]
		devices = append(devices, picture.Device{NUMA: number(device, numaNode), Holder: has.letter, Pod: has.pod})
	}
	return devices
}

// podsWithoutDevices returns the gang's letter for each pod on a node that holds no device.
func (o *observation) podsWithoutDevices(node string) []picture.Letter {
	var letters []picture.Letter
	for _, g := range gangs {
		for _, pod := range o.members(g) {
			if pod.Spec.NodeName == node && len(pod.Spec.ResourceClaims) == 0 && !finished(pod) {
				letters = append(letters, g.letter)
			}
		}
	}
	return letters
}

func finished(pod v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

func text(device resourceapi.Device, name resourceapi.QualifiedName) string {
	if value := device.Attributes[name].StringValue; value != nil {
		return *value
	}
	return ""
}

func number(device resourceapi.Device, name resourceapi.QualifiedName) int64 {
	if value := device.Attributes[name].IntValue; value != nil {
		return *value
	}
	return 0
}
