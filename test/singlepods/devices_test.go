// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package singlepods

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// small lets a pod leave room for others on its node, devices aside.
func small(p *corev1.Pod) {
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
}

// on binds the pod to a node of the fleet, by a selector.
func on(node string) change {
	return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node} }
}

// by lets another scheduler place the pod.
func by(scheduler string) change { return func(p *corev1.Pod) { p.Spec.SchedulerName = scheduler } }

// fromTemplate gives the pod a claim of its own, made from a template.
func fromTemplate(template string) change {
	return func(p *corev1.Pod) {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: "gpus", ResourceClaimTemplateName: &template})
		p.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "gpus"}}
	}
}

// named gives the pod a claim that other pods may use too.
func named(claim string) change {
	return func(p *corev1.Pod) {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: "gpus", ResourceClaimName: &claim})
		p.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "gpus"}}
	}
}

// extended asks for GPUs as an extended resource.
func extended(count string) change {
	return func(p *corev1.Pod) {
		list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), fleet.ExtendedResourceGPU: resource.MustParse(count)}
		p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list, Limits: corev1.ResourceList{fleet.ExtendedResourceGPU: resource.MustParse(count)}}
	}
}

const gpuRequests = "{devices: {requests: [{name: gpu, exactly: {deviceClassName: gpu.nvidia.com, count: %d}}]}}"

// claims creates what pods of a test ask for: templates gpus-N of N GPUs, and a named claim.
func (e *env) claims() {
	e.Helper()
	for _, n := range []int{1, 8} {
		e.Create(fmt.Sprintf("{apiVersion: resource.k8s.io/v1, kind: ResourceClaimTemplate, metadata: {name: gpus-%d}, spec: {spec: "+gpuRequests+"}}", n, n))
	}
	e.Create(fmt.Sprintf("{apiVersion: resource.k8s.io/v1, kind: ResourceClaim, metadata: {name: shared}, spec: "+gpuRequests+"}", 8))
}

// firstNode returns a node of the fleet.
func (e *env) firstNode() string {
	e.Helper()
	spec, err := fleet.Parse("shape=ndh100v5,spines=1,leaves=1,nodes=4")
	if err != nil {
		e.Fatal(err)
	}
	for node := range spec.All() {
		return node.Name()
	}
	return ""
}

// A pod that needs GPUs preempts the pod that has them. The stock scheduler leaves it pending.
func TestPreemptionFreesDevices(t *testing.T) {
	holders := map[string]change{
		"a claim from a template": fromTemplate("gpus-8"),
		"a named claim":           named("shared"),
		"an extended resource":    extended("8"),
	}
	for name, holds := range holders {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.claims()
			node := e.firstNode()
			low := e.single("low", small, holds, on(node), priority(1))
			stock := e.pod("stock", small, fromTemplate("gpus-1"), on(node), priority(1000), by("default-scheduler"))
			e.Until("the stock scheduler refuses the pod", e.refused("stock"))
			e.Never("the stock scheduler frees devices", func() bool { return e.running()[low.UID] == nil || e.running()[stock.UID] != nil })
			e.RemovePod("stock")
			e.single("high", small, fromTemplate("gpus-1"), on(node), priority(1000))
			e.gone(low.UID)
			e.preempted("low", "evicted for pod "+e.Namespace+"/high of priority 1000, which needs its 8 devices")
		})
	}
}

// Of several pods with GPUs those end that must.
func TestPreemptionSparesDevices(t *testing.T) {
	e := newEnv(t)
	e.claims()
	node := e.firstNode()
	var lows []*corev1.Pod
	for i := range 8 {
		lows = append(lows, e.single(fmt.Sprintf("low-%d", i), small, fromTemplate("gpus-1"), on(node), priority(1)))
	}
	none := e.single("none", small, on(node), priority(1))
	e.single("high", small, fromTemplate("gpus-1"), on(node), priority(1000))
	left := 0
	for _, low := range lows {
		if e.running()[low.UID] != nil {
			left++
		}
	}
	if left != 7 {
		t.Errorf("%d of 8 pods with a GPU are left, want 7", left)
	}
	e.stay(none.UID)
}

// A claim that another pod uses too keeps its devices, so neither of its pods is evicted for them.
func TestSharedClaimStays(t *testing.T) {
	e := newEnv(t)
	e.claims()
	node := e.firstNode()
	low := e.single("low", small, named("shared"), on(node), priority(1))
	same := e.single("same", small, named("shared"), on(node), priority(1000))
	e.pod("high", small, fromTemplate("gpus-1"), on(node), priority(1000))
	e.Until("the pod is refused", e.refused("high"))
	e.Never("a pod is evicted", func() bool { return e.running()[low.UID] == nil })
	e.RemovePod(same.Name)
	e.bound("high")
	e.gone(low.UID)
}

// A PodGroup that the plugin Gang leaves to the stock scheduler preempts pods with devices.
func TestPodGroupPreemptionFreesDevices(t *testing.T) {
	e := newEnv(t)
	e.claims()
	node := e.firstNode()
	low := e.single("low", small, fromTemplate("gpus-8"), on(node), priority(1))
	e.Create("{apiVersion: scheduling.k8s.io/v1beta1, kind: PodGroup, metadata: {name: high}, spec: {priorityClassName: p1000, schedulingPolicy: {basic: {}}}}")
	for i := range 2 {
		e.pod(fmt.Sprintf("high-%d", i), small, fromTemplate("gpus-1"), on(node), priority(1000), func(p *corev1.Pod) {
			p.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: ptr.To("high")}
		})
	}
	e.bound("high-0")
	e.bound("high-1")
	e.gone(low.UID)
	e.preempted("low", "evicted for PodGroup "+e.Namespace+"/high of priority 1000")
}
