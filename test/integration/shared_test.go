// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// sharedClaim creates a claim for a number of GPUs. Pods refer to it by name.
func (e *env) sharedClaim(name string, gpus int64) {
	e.Helper()
	claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	claim.Spec.Devices.Requests = []resourceapi.DeviceRequest{{
		Name: "gpus", Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: fleet.ClassGPU, Count: gpus},
	}}
	if _, err := e.Client.ResourceV1().ResourceClaims(e.Namespace).Create(e.Context(), claim, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating claim %s: %v", name, err)
	}
}

func naming(claim string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: "shared", ResourceClaimName: &claim})
		p.Spec.Containers[0].Resources.Claims = append(p.Spec.Containers[0].Resources.Claims, corev1.ResourceClaim{Name: "shared"})
	}
}

// users returns the names of the pods for which a claim is reserved.
func (e *env) users(claim string) map[string]bool {
	e.Helper()
	got, err := e.Client.ResourceV1().ResourceClaims(e.Namespace).Get(e.Context(), claim, metav1.GetOptions{})
	if err != nil {
		e.Fatalf("reading claim %s: %v", claim, err)
	}
	users := map[string]bool{}
	for _, user := range got.Status.ReservedFor {
		users[user.Name] = true
	}
	return users
}

// Members of gangs share claims that are not allocated when the gangs are planned. No
// member may wait for devices that are allocated only after all members are placed,
// whatever the order of a pod's claims. Every claim must have its own devices. All members
// of a gang must be on the node of their claim, even with room on other nodes.
func TestMembersShareClaims(t *testing.T) {
	const gangs, size = 4, 3
	e := onGPUs(t)
	e.keepOpen(4)
	e.deviceTemplate("own", map[string]int64{fleet.ClassGPU: 1, fleet.ClassRDMA: 1})
	for g := range gangs {
		name := fmt.Sprintf("g%d", g)
		e.sharedClaim(name, 2)
		e.podGroup(name, size, nil)
		options := []podOption{naming(name), withTemplates("own")}
		if g%2 == 1 {
			options[0], options[1] = options[1], options[0]
		}
		e.createPods(members(name, size, options...)...)
	}
	for g := range gangs {
		name := fmt.Sprintf("g%d", g)
		selector := groupLabel + "=" + name
		e.Whole(selector, size)
		if nodes := e.Domains(selector, corev1.LabelHostname); len(nodes) != 1 {
			t.Errorf("gang %s stands on nodes %v, want the one where its claim is", name, nodes)
		}
		if users := e.users(name); len(users) != size {
			t.Errorf("claim %s is reserved for %v, want all %d members", name, users, size)
		}
	}

	// A further member must be placed on the node of the claim.
	e.createPods(members("g0", size+1, naming("g0"), withTemplates("own"))[size:]...)
	e.Whole(groupLabel+"=g0", size+1)
	if nodes := e.Domains(groupLabel+"=g0", corev1.LabelHostname); len(nodes) != 1 {
		t.Errorf("after one more member gang g0 stands on nodes %v", nodes)
	}

	// Nine GPUs and the shared GPU exceed the devices of a node.
	e.sharedClaim("huge", 1)
	e.podGroup("huge", 9, nil)
	e.createPods(members("huge", 9, naming("huge"), withTemplates("own"))...)
	e.Refused(groupLabel+"=huge", 9, "members share resource claims huge, whose devices are one node's")
	t.Log(harness.Unschedulable(&e.Pods(groupLabel + "=huge")[0]))
	if users := e.users("huge"); len(users) != 0 {
		t.Errorf("the claim of a gang that waits is reserved for %v", users)
	}
}
