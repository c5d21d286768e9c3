// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
)

func TestWaitingPodsHoldNothing(t *testing.T) {
	four := map[string]any{"minMember": int64(4)}
	nominated := func(p *v1.Pod) { p.Status.NominatedNodeName = "n1" }
	runJudgeCases(t, map[string]judgeCase{
		"a waiting pod may hold a claim for as long as its binding takes": {func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			f.claim("x", "a", "n1", "gpu-0")
			f.advance(9 * time.Second)
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
		"a waiting member holds a claim": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"), withClaim("x"))
			f.claim("x", "a-0", "n1", "gpu-0", "gpu-1")
			f.advance(3 * pastGrace)
		}, []string{"I4: claim ml/x holds 2 devices for pod ml/a-0, which has had no node for 10.1s since (gang PodGroup ml/g: member 0 of 4)"}},
		"a claim that a waiting pod owns and nobody reserves": {func(f *judgeFixture) {
			f.pod("a")
			isController := true
			owned := newClaim("x", "", "n1", "gpu-0")
			owned.OwnerReferences = newPod("b", inRayCluster("a", "", "")).OwnerReferences
			owned.OwnerReferences[0].Kind, owned.OwnerReferences[0].Controller = "Pod", &isController
			f.setClaim("x", owned)
			f.advance(pastGrace)
		}, []string{"I4: claim ml/x holds 1 devices for pod ml/a, which has had no node for 10.1s since"}},
		"a claim is kept for a PodGroup that waits": {func(f *judgeFixture) {
			f.podGroup("g", 1)
			f.members("a", 2, inPodGroup("g"), withClaim("x"))
			f.setClaim("x", forGroup("g", newClaim("x", "", "n1", "gpu-0")))
			f.advance(3 * pastGrace)
		}, []string{"I4: claim ml/x holds 1 devices for pod ml/a-0, which has had no node for 10.1s since (gang scheduling.k8s.io PodGroup ml/g: member 0 of 1)"}},
		"a claim is kept for a PodGroup of which a member runs": {func(f *judgeFixture) {
			f.podGroup("g", 1)
			f.members("a", 2, inPodGroup("g"), withClaim("x"))
			f.setClaim("x", forGroup("g", newClaim("x", "", "n1", "gpu-0")))
			f.bind("n1", "a-1")
			f.advance(3 * pastGrace)
		}, nil},
		"a claim given back in time is fine": {func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			f.claim("x", "a", "n1", "gpu-0")
			f.advance(9 * time.Second)
			f.claim("x", "", "")
			f.advance(pastGrace)
		}, nil},
		"a claim that waits for its device is fine": {func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			slow := newClaim("x", "a", "n1", "gpu-0")
			slow.Status.Allocation.Devices.Results = []resourceapi.DeviceRequestAllocationResult{{
				Driver: "gpu.example.com", Pool: "n1", Device: "gpu-0", BindingConditions: []string{"attached"}}}
			f.setClaim("x", slow)
			f.advance(3 * pastGrace)
		}, nil},
		"a member of a waiting gang keeps a node nominated": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"))
			f.edit(nominated, "a-0")
			f.advance(3 * pastGrace)
		}, []string{"I4: pod ml/a-0 has had node n1 nominated for 10.1s without being bound (gang PodGroup ml/g: member 0 of 4)"}},
		"a nomination while its victim leaves is fine": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"))
			f.pod("victim", func(p *v1.Pod) { p.Spec.NodeName = "n1" }, terminating)
			f.edit(nominated, "a-0")
			f.advance(pastGrace)
			f.remove("victim")
			f.bind("n1", "a-0", "a-1", "a-2", "a-3")
			f.advance(pastGrace)
		}, nil},
	})
}
