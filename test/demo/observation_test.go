// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// newObservation returns an observation of the demo's empty fleet.
func newObservation() *observation {
	seen := &observation{claims: map[string]resourceapi.ResourceClaim{}, rayJobs: map[string]string{"pretrain-x1": "pretrain"}, hardware: hardwareOf(fleet.Default())}
	for node := range fleet.Default().All() {
		seen.nodes = append(seen.nodes, *node.Object())
		for _, slice := range node.Slices() {
			seen.slices = append(seen.slices, *slice)
		}
	}
	return seen
}

// label returns the labels of a gang's members.
func label(g gang) map[string]string {
	switch g.name {
	case pretrain.name:
		return map[string]string{rayClusterLabel: "pretrain-x1"}
	case finetune.name, evaluate.name:
		return map[string]string{rayClusterLabel: g.name}
	case notebooks.name:
		return map[string]string{appLabel: g.name}
	}
	return map[string]string{podGroupLabel: "serve"}
}

// head adds a Ray head. node is "" for a waiting pod.
func (o *observation) head(g gang, node string) {
	labels := label(g)
	labels["ray.io/node-type"] = "head"
	o.pods = append(o.pods, v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: g.name + "-head", Labels: labels}, Spec: v1.PodSpec{NodeName: node},
	})
}

// worker adds a worker with a claim. If it has a node, it holds all eight pairs there.
func (o *observation) worker(g gang, node string) {
	name := fmt.Sprintf("%s-%d", g.name, len(o.pods))
	o.pods = append(o.pods, v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: label(g)},
		Spec:       v1.PodSpec{NodeName: node, ResourceClaims: []v1.PodResourceClaim{{Name: "devices"}}},
		Status:     v1.PodStatus{ResourceClaimStatuses: []v1.PodResourceClaimStatus{{Name: "devices", ResourceClaimName: &name}}},
	})
	claim := resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if node != "" {
		claim.Status.Allocation = &resourceapi.AllocationResult{}
		for _, slice := range o.slices {
			for _, device := range slice.Spec.Devices {
				if slice.Spec.Pool.Name == node {
					claim.Status.Allocation.Devices.Results = append(claim.Status.Allocation.Devices.Results,
						resourceapi.DeviceRequestAllocationResult{Driver: slice.Spec.Driver, Pool: node, Device: device.Name})
				}
			}
		}
	}
	o.claims[name] = claim
}

// holder adds a worker on the first node of the fleet. It holds the GPUs and NICs with
// these indexes.
func (o *observation) holder(g gang, gpus, nics []int) {
	node := o.nodes[0].Name
	o.worker(g, node)
	allocation := o.claims[o.pods[len(o.pods)-1].Name].Status.Allocation
	allocation.Devices.Results = nil
	for _, slice := range o.slices {
		chosen := map[string][]int{gpuDriver: gpus, nicDriver: nics}[slice.Spec.Driver]
		for _, i := range chosen {
			if slice.Spec.Pool.Name == node {
				allocation.Devices.Results = append(allocation.Devices.Results,
					resourceapi.DeviceRequestAllocationResult{Driver: slice.Spec.Driver, Pool: node, Device: slice.Spec.Devices[i].Name})
			}
		}
	}
}

// gangOf adds a worker on each node.
func (o *observation) gangOf(g gang, nodes ...string) {
	for _, node := range nodes {
		o.worker(g, node)
	}
}

// nodesOf returns the names of nodes of the demo's fleet.
func nodesOf(spine, leaf int, nodes ...int) []string {
	var names []string
	for _, node := range nodes {
		names = append(names, fmt.Sprintf("ndh100v5-s%d-l%d-n%d", spine, leaf, node))
	}
	return names
}

// waiting sets the reason on every pod of a gang and in an event on its PodGroup.
func (o *observation) waiting(g gang, why string) {
	for i := range o.pods {
		if g.has(o, &o.pods[i]) {
			o.pods[i].Status.Conditions = []v1.PodCondition{{
				Type: v1.PodScheduled, Status: v1.ConditionFalse, Reason: v1.PodReasonUnschedulable, Message: "0/16 nodes are available: " + why + ".",
			}}
		}
	}
	o.events = append(o.events, v1.Event{InvolvedObject: v1.ObjectReference{Kind: g.kind, Name: g.name}, Message: why})
}
