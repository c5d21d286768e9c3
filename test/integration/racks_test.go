// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	placementGroup = "azure.dra.net/placementGroupId"
	// rackNodes is the number of nodes in an NVL72 rack.
	rackNodes = 18
)

// azureConfig returns the shipped configuration with the preset that an administrator of an
// Azure cluster sets.
func azureConfig(t *testing.T) []byte {
	t.Helper()
	config := bytes.ReplaceAll(manifests.SchedulerConfig, []byte("preset: topograph"), []byte("preset: azure"))
	if bytes.Equal(config, manifests.SchedulerConfig) {
		t.Fatal("the configuration in manifests/ names another preset than topograph")
	}
	return config
}

// onAzure starts a cluster of Azure machines.
func onAzure(t *testing.T, fleets ...string) *env {
	t.Helper()
	options := localcluster.Options{Without: withoutOthers, DovetailConfig: azureConfig(t)}
	for _, text := range fleets {
		options.Fleets = append(options.Fleets, plainFleet(t, text))
	}
	return onOwn(t, options)
}

// withTemplates adds a claim from each template to the pod.
func withTemplates(names ...string) podOption {
	return func(p *corev1.Pod) {
		for _, name := range names {
			p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: name, ResourceClaimTemplateName: &name})
			p.Spec.Containers[0].Resources.Claims = append(p.Spec.Containers[0].Resources.Claims, corev1.ResourceClaim{Name: name})
		}
	}
}

func onNode(name string) podOption {
	return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: name} }
}

// channelTemplate creates the claim template that NVIDIA's controller creates for a
// ComputeDomain. It requests the default IMEX channel and contains the ID of the domain.
func (e *env) channelTemplate(name string) {
	e.Helper()
	template := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: name}}
	template.Spec.Spec.Devices = resourceapi.DeviceClaim{
		Requests: []resourceapi.DeviceRequest{{Name: "channel", Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: fleet.ClassChannel}}},
		Config: []resourceapi.DeviceClaimConfiguration{{
			Requests: []string{"channel"},
			DeviceConfiguration: resourceapi.DeviceConfiguration{Opaque: &resourceapi.OpaqueDeviceConfiguration{
				Driver: fleet.DriverIMEX,
				Parameters: runtime.RawExtension{Raw: []byte(`{"apiVersion":"resource.nvidia.com/v1beta1","kind":"ComputeDomainChannelConfig",` +
					`"domainID":"6bd3a5b1-6d4a-4d3a-9f0f-2f2a1a7d6a55"}`)},
			}},
		}},
	}
	if _, err := e.Client.ResourceV1().ResourceClaimTemplates(e.Namespace).Create(e.Context(), template, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating claim template %s: %v", name, err)
	}
}

// A gang of 18 one-node workers must be placed in the only idle rack. It does not require a
// rack, and the other racks together have more free nodes than it needs. A second gang that
// requires a rack must wait with a message that has the missing number.
func TestGangFillsAnIdleRack(t *testing.T) {
	e := onAzure(t, fmt.Sprintf("shape=ndgb300v6,leaves=3,nodes=%d,name=gb", rackNodes))
	e.deviceTemplate("one-gpu", map[string]int64{fleet.ClassGPU: 1})
	e.deviceTemplate("whole-tray", map[string]int64{fleet.ClassGPU: 4, fleet.ClassRDMA: 4})
	e.channelTemplate("compute-domain")

	e.createPods(
		newPod("early-1", withTemplates("one-gpu"), onNode("gb-s1-l1-n07")),
		newPod("early-3", withTemplates("whole-tray"), onNode("gb-s1-l3-n18")),
	)
	e.Whole("", 2)

	e.podGroup("train", rackNodes, nil)
	e.createPods(members("train", rackNodes, withTemplates("whole-tray", "compute-domain"))...)
	e.Whole(groupLabel+"=train", rackNodes)
	if racks := e.Domains(groupLabel+"=train", fleet.LabelLeaf); racks["gb-s1-l2"] != rackNodes {
		t.Errorf("the gang stands in racks %v, want all of it in gb-s1-l2", racks)
	}
	if cliques := e.Domains(groupLabel+"=train", fleet.LabelClique); len(cliques) != 1 {
		t.Errorf("the gang stands in NVLink cliques %v, want one", cliques)
	}
	for _, pod := range e.Pods(groupLabel + "=train") {
		held := e.devicesOf(pod.Name)
		counts := map[string]int{}
		for _, device := range held {
			pool, name, _ := strings.Cut(device, "/")
			kind, _, _ := strings.Cut(name, "-")
			counts[pool+" "+kind]++
		}
		node := pod.Spec.NodeName
		if len(held) != 9 || counts[node+" gpu"] != 4 || counts[node+" pci"] != 4 || counts[node+" channel"] != 1 {
			t.Errorf("pod %s on node %s holds %v, want 4 GPUs, 4 NICs and a channel of that node", pod.Name, node, held)
		}
	}

	e.podGroup("late", rackNodes, map[string]string{levelRequired: "clique"})
	e.createPods(members("late", rackNodes, withTemplates("whole-tray", "compute-domain"))...)
	const sentence = "17 of 18 members fit clique "
	e.Refused(groupLabel+"=late", rackNodes, sentence)
	e.Eventually("the PodGroup has an event that says so", func() bool { return e.event("late", sentence) })
	t.Log(harness.Unschedulable(&e.Pods(groupLabel + "=late")[0]))
	e.RemovePods("!" + groupLabel) // one rack is whole again
	e.Whole(groupLabel+"=late", rackNodes)
	if cliques := e.Domains(groupLabel+"=late", fleet.LabelClique); len(cliques) != 1 {
		t.Errorf("the second gang stands in NVLink cliques %v, want one", cliques)
	}
}

// A gang that requests RDMA must stay in one placement group. It must wait, with a message
// that has the numbers, while only two groups together have enough free nodes. A gang
// without RDMA must be placed across both. Only the NICs of a node have its placement
// group. When a node's NICs change to the gang's group, the gang must be placed.
func TestPlacementGroupBoundsRDMA(t *testing.T) {
	e := onAzure(t, "shape=ndh100v5,nodes=3,name=a,group=pg-a", "shape=ndh100v5,nodes=3,name=b,group=pg-b")
	e.deviceTemplate("gpus", map[string]int64{fleet.ClassGPU: 8})
	e.deviceTemplate("pairs", map[string]int64{fleet.ClassGPU: 8, fleet.ClassRDMA: 8})

	e.podGroup("rdma", 4, nil)
	e.createPods(members("rdma", 4, withTemplates("pairs"))...)
	const sentence = "3 of 4 members fit"
	const because = "placement-group zone-1/pg-a, which RDMA does not leave, though 3 more fit outside"
	e.Refused(groupLabel+"=rdma", 4, sentence)
	e.Refused(groupLabel+"=rdma", 4, because)
	e.Eventually("the PodGroup has an event that says so", func() bool { return e.event("rdma", because) })
	t.Log(harness.Unschedulable(&e.Pods(groupLabel + "=rdma")[0]))

	e.podGroup("tcp", 4, nil)
	e.createPods(members("tcp", 4, withTemplates("gpus"))...)
	e.Whole(groupLabel+"=tcp", 4)
	if groups := e.groupsOf(groupLabel + "=tcp"); len(groups) != 2 {
		t.Errorf("the gang without RDMA stands in placement groups %v, want both: no group has four nodes", groups)
	}
	if n := e.Bound(groupLabel + "=rdma"); n != 0 {
		t.Errorf("%d pods of the gang with RDMA are bound", n)
	}
	e.RemovePods(groupLabel + "=tcp")

	e.regroup("b-s1-l1-n2", "pg-a")
	e.Whole(groupLabel+"=rdma", 4)
	if groups := e.groupsOf(groupLabel + "=rdma"); groups["pg-a"] != 4 {
		t.Errorf("the gang with RDMA stands in placement groups %v, want pg-a", groups)
	}
}

// groupsOf counts the matching pods by the placement group of their nodes' NICs.
func (e *env) groupsOf(selector string) map[string]int {
	e.Helper()
	seen := map[string]int{}
	for _, node := range e.NodesOf(selector) {
		seen[*e.nicSlice(node).Spec.Devices[0].Attributes[placementGroup].StringValue]++
	}
	return seen
}

// regroup changes the placement group in a node's ResourceSlice, as DRANET does after a
// machine was moved.
func (e *env) regroup(node, group string) {
	e.Helper()
	slice := e.nicSlice(node)
	for i := range slice.Spec.Devices {
		slice.Spec.Devices[i].Attributes[placementGroup] = resourceapi.DeviceAttribute{StringValue: &group}
	}
	if _, err := e.Client.ResourceV1().ResourceSlices().Update(e.Context(), slice, metav1.UpdateOptions{}); err != nil {
		e.Fatalf("updating ResourceSlice %s: %v", slice.Name, err)
	}
}

func (e *env) nicSlice(node string) *resourceapi.ResourceSlice {
	e.Helper()
	slice, err := e.Client.ResourceV1().ResourceSlices().Get(e.Context(), node+"-"+fleet.DriverNIC, metav1.GetOptions{})
	if err != nil {
		e.Fatalf("reading the NICs of node %s: %v", node, err)
	}
	return slice
}

// A gang that requires alignment in its PodGroup must wait while the free GPUs and NICs are
// not pairs. A gang whose pods override this must be placed on them.
func TestGangRequiresAlignment(t *testing.T) {
	e := onAzure(t, "shape=ndh100v5,name=one")
	e.deviceTemplate("pair", map[string]int64{fleet.ClassGPU: 1, fleet.ClassRDMA: 1})
	e.selectedTemplate("first-gpu", fleet.ClassGPU, 1, `device.attributes["resource.kubernetes.io"].pciBusID == "0001:00:00.0"`)
	e.selectedTemplate("other-nics", fleet.ClassRDMA, 6, `!(device.attributes["dra.net"].rdmaDevice in ["mlx5_0", "mlx5_1"])`)
	e.createPods(newPod("in-the-way", withTemplates("first-gpu", "other-nics")))
	e.Whole("", 1)
	// NICs 0 and 1 are free, but GPU 0 is not: NIC 0 has no free GPU.
	required := map[string]string{"dovetail.dev/device-alignment": "required"}
	e.podGroup("strict", 2, required)
	e.createPods(members("strict", 2, withTemplates("pair"))...)
	e.Refused(groupLabel+"=strict", 2, "1 of 2 members fit")
	e.podGroup("wrong", 1, map[string]string{"dovetail.dev/device-alignment": "strict"})
	e.createPods(members("wrong", 1, withTemplates("pair"))...)
	e.Refused(groupLabel+"=wrong", 1, e.inNamespace(`annotation dovetail.dev/device-alignment of podgroup NS/wrong is "strict", which must be preferred, required or none`))

	e.podGroup("easy", 2, required)
	e.createPods(members("easy", 2, withTemplates("pair"), func(p *corev1.Pod) { p.Annotations["dovetail.dev/device-alignment"] = "preferred" })...)
	e.Whole(groupLabel+"=easy", 2)
	e.RemovePods(groupLabel + "=easy")
	e.RemovePods("!" + groupLabel)
	e.Whole(groupLabel+"=strict", 2)
	for _, pod := range e.Pods(groupLabel + "=strict") {
		gpus, nics := churnDevices(e.Fatalf, e.devicesOf(pod.Name))
		for nic := range nics {
			if !gpus[nic] {
				t.Errorf("pod %s has NIC %d and GPUs %v", pod.Name, nic, gpus)
			}
		}
	}
}

// selectedTemplate creates a claim template for devices that match a CEL expression.
func (e *env) selectedTemplate(name, class string, count int64, expression string) {
	e.Helper()
	template := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: name}}
	template.Spec.Spec.Devices.Requests = []resourceapi.DeviceRequest{{Name: "devices", Exactly: &resourceapi.ExactDeviceRequest{
		DeviceClassName: class, Count: count,
		Selectors: []resourceapi.DeviceSelector{{CEL: &resourceapi.CELDeviceSelector{Expression: expression}}},
	}}}
	if _, err := e.Client.ResourceV1().ResourceClaimTemplates(e.Namespace).Create(e.Context(), template, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating claim template %s: %v", name, err)
	}
}
