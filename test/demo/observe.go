// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// namespace is the namespace of the demo's objects.
const namespace = "demo"

var rayClusters = schema.GroupVersionResource{Group: "ray.io", Version: "v1", Resource: "rayclusters"}

// observation is a copy of the API objects at one moment. The demo draws and checks only
// this copy.
type observation struct {
	nodes  []v1.Node
	slices []resourceapi.ResourceSlice
	pods   []v1.Pod
	claims map[string]resourceapi.ResourceClaim
	events []v1.Event
	// rayJobs maps each RayCluster to its RayJob, even if the RayCluster has been deleted.
	rayJobs map[string]string
	// hardware has the alignment unit of each device of the simulated machines: a GPU and a NIC of
	// one unit are a pair. It does not depend on API objects.
	hardware hardware
}

// observer reads observations.
type observer struct {
	core kubernetes.Interface
	raw  dynamic.Interface
	// rayJobs keeps the RayJob of every RayCluster that existed. Pods briefly outlive their
	// deleted RayCluster, and still belong to the gang of the RayJob.
	rayJobs  map[string]string
	hardware hardware
}

func newObserver(cfg *rest.Config, spec fleet.Spec) (*observer, error) {
	core, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	raw, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client for RayClusters: %w", err)
	}
	return &observer{core: core, raw: raw, rayJobs: map[string]string{}, hardware: hardwareOf(spec)}, nil
}

// observe reads an observation. It lists pods before claims: a pod is bound after its
// claims are allocated, so the claims of every bound pod are allocated in the copy.
func (o *observer) observe(ctx context.Context) (*observation, error) {
	all := metav1.ListOptions{}
	clusters, err := o.raw.Resource(rayClusters).Namespace(namespace).List(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("listing RayClusters: %w", err)
	}
	pods, err := o.core.CoreV1().Pods(namespace).List(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	claims, err := o.core.ResourceV1().ResourceClaims(namespace).List(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("listing claims: %w", err)
	}
	events, err := o.core.CoreV1().Events(namespace).List(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	seen := &observation{
		pods: pods.Items, events: events.Items, claims: map[string]resourceapi.ResourceClaim{},
		rayJobs: o.rayJobs, hardware: o.hardware,
	}
	for _, claim := range claims.Items {
		seen.claims[claim.Name] = claim
	}
	for i := range clusters.Items {
		if owner := metav1.GetControllerOf(&clusters.Items[i]); owner != nil && owner.Kind == "RayJob" {
			o.rayJobs[clusters.Items[i].GetName()] = owner.Name
		}
	}
	slices.SortFunc(seen.pods, func(a, b v1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return seen, o.observeHardware(ctx, seen)
}

func (o *observer) observeHardware(ctx context.Context, seen *observation) error {
	nodes, err := o.core.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	offered, err := o.core.ResourceV1().ResourceSlices().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing resource slices: %w", err)
	}
	seen.nodes, seen.slices = nodes.Items, offered.Items
	slices.SortFunc(seen.nodes, func(a, b v1.Node) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// node returns a node by its name, or nil.
func (o *observation) node(name string) *v1.Node {
	for i := range o.nodes {
		if o.nodes[i].Name == name {
			return &o.nodes[i]
		}
	}
	return nil
}

// members returns the pods of a gang, sorted by name.
func (o *observation) members(g gang) []v1.Pod {
	var members []v1.Pod
	for _, pod := range o.pods {
		if g.has(o, &pod) {
			members = append(members, pod)
		}
	}
	return members
}

// workers returns the members that request devices.
func (o *observation) workers(g gang) []v1.Pod {
	return slices.DeleteFunc(o.members(g), func(pod v1.Pod) bool { return len(pod.Spec.ResourceClaims) == 0 })
}

// claimsOf returns the existing claims of a pod.
func (o *observation) claimsOf(pod v1.Pod) []resourceapi.ResourceClaim {
	var claims []resourceapi.ResourceClaim
	for _, status := range pod.Status.ResourceClaimStatuses {
		if status.ResourceClaimName == nil {
			continue
		}
		if claim, exists := o.claims[*status.ResourceClaimName]; exists {
			claims = append(claims, claim)
		}
	}
	return claims
}

// results returns the devices that a claim holds.
func results(claim resourceapi.ResourceClaim) []resourceapi.DeviceRequestAllocationResult {
	if claim.Status.Allocation == nil {
		return nil
	}
	return claim.Status.Allocation.Devices.Results
}

func bound(pods []v1.Pod) int {
	count := 0
	for _, pod := range pods {
		if pod.Spec.NodeName != "" {
			count++
		}
	}
	return count
}
