// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
)

func TestWhoCannotFitHoldsNothing(t *testing.T) {
	four := map[string]any{"minMember": int64(4)}
	nominated := func(p *v1.Pod) { p.Status.NominatedNodeName = "n1" }
	try(t, map[string]trial{
		"a waiting pod may hold a claim for as long as its binding takes": {func(c *judgeFixture) {
			c.pod("a", withClaim("x"))
			c.claim("x", "a", "n1", "gpu-0")
			c.pass(9 * time.Second)
			c.bind("n1", "a")
			c.pass(patience)
		}, nil},
		"a waiting member holds a claim": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			c.members("a", 4, inCoschedulingGroup("g"), withClaim("x"))
			c.claim("x", "a-0", "n1", "gpu-0", "gpu-1")
			c.pass(3 * patience)
		}, []string{"I4: claim ml/x holds 2 devices for pod ml/a-0, which has had no node for 10.1s since (gang PodGroup ml/g: member 0 of 4)"}},
		"a claim that a waiting pod owns and nobody reserves": {func(c *judgeFixture) {
			c.pod("a")
			isController := true
			owned := newClaim("x", "", "n1", "gpu-0")
			owned.OwnerReferences = newPod("b", inRayCluster("a", "", "")).OwnerReferences
			owned.OwnerReferences[0].Kind, owned.OwnerReferences[0].Controller = "Pod", &isController
			c.setClaim("x", owned)
			c.pass(patience)
		}, []string{"I4: claim ml/x holds 1 devices for pod ml/a, which has had no node for 10.1s since"}},
		"a claim is kept for a PodGroup that waits": {func(c *judgeFixture) {
			c.podGroup("g", 1)
			c.members("a", 2, inPodGroup("g"), withClaim("x"))
			c.setClaim("x", forGroup("g", newClaim("x", "", "n1", "gpu-0")))
			c.pass(3 * patience)
		}, []string{"I4: claim ml/x holds 1 devices for pod ml/a-0, which has had no node for 10.1s since (gang scheduling.k8s.io PodGroup ml/g: member 0 of 1)"}},
		"a claim is kept for a PodGroup of which a member runs": {func(c *judgeFixture) {
			c.podGroup("g", 1)
			c.members("a", 2, inPodGroup("g"), withClaim("x"))
			c.setClaim("x", forGroup("g", newClaim("x", "", "n1", "gpu-0")))
			c.bind("n1", "a-1")
			c.pass(3 * patience)
		}, nil},
		"a claim given back in time is fine": {func(c *judgeFixture) {
			c.pod("a", withClaim("x"))
			c.claim("x", "a", "n1", "gpu-0")
			c.pass(9 * time.Second)
			c.claim("x", "", "")
			c.pass(patience)
		}, nil},
		"a claim that waits for its device is fine": {func(c *judgeFixture) {
			c.pod("a", withClaim("x"))
			slow := newClaim("x", "a", "n1", "gpu-0")
			slow.Status.Allocation.Devices.Results = []resourceapi.DeviceRequestAllocationResult{{
				Driver: "gpu.example.com", Pool: "n1", Device: "gpu-0", BindingConditions: []string{"attached"}}}
			c.setClaim("x", slow)
			c.pass(3 * patience)
		}, nil},
		"a member of a waiting gang keeps a node nominated": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			c.members("a", 4, inCoschedulingGroup("g"))
			c.edit(nominated, "a-0")
			c.pass(3 * patience)
		}, []string{"I4: pod ml/a-0 has had node n1 nominated for 10.1s without being bound (gang PodGroup ml/g: member 0 of 4)"}},
		"a nomination while its victim leaves is fine": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			c.members("a", 4, inCoschedulingGroup("g"))
			c.pod("victim", func(p *v1.Pod) { p.Spec.NodeName = "n1" }, terminating)
			c.edit(nominated, "a-0")
			c.pass(patience)
			c.remove("victim")
			c.bind("n1", "a-0", "a-1", "a-2", "a-3")
			c.pass(patience)
		}, nil},
	})
}
