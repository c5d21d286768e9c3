// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestDevicesAreGivenOnce(t *testing.T) {
	yes := true
	runJudgeCases(t, map[string]judgeCase{
		"one device in two claims": {func(f *judgeFixture) {
			f.claim("x", "", "n1", "gpu-0", "gpu-1")
			f.claim("y", "", "n1", "gpu-1")
			f.advance(pastGrace)
		}, []string{"I2: device gpu.example.com/n1/gpu-1 is allocated to claim ml/x and to claim ml/y"}},
		"the same name on another node is another device": {func(f *judgeFixture) {
			f.claim("x", "", "n1", "gpu-0")
			f.claim("y", "", "n2", "gpu-0")
			f.advance(pastGrace)
		}, nil},
		"a device given back may be given again": {func(f *judgeFixture) {
			f.claim("x", "", "n1", "gpu-0")
			f.claim("x", "", "")
			f.claim("y", "", "n1", "gpu-0")
			f.advance(pastGrace)
		}, nil},
		"a write that changes nothing is not reported again": {func(f *judgeFixture) {
			f.claim("x", "", "n1", "gpu-0")
			f.claim("y", "", "n1", "gpu-0")
			f.claim("y", "", "n1", "gpu-0")
			f.advance(pastGrace)
		}, []string{"I2: device gpu.example.com/n1/gpu-0 is allocated to claim ml/x and to claim ml/y"}},
		"admin access takes nothing": {func(f *judgeFixture) {
			f.claim("x", "", "n1", "gpu-0")
			admin := newClaim("y", "", "n1", "gpu-0")
			admin.Status.Allocation.Devices.Results[0].AdminAccess = &yes
			f.setClaim("y", admin)
			f.advance(pastGrace)
		}, nil},
		"a shared device may have several users": {func(f *judgeFixture) {
			for _, name := range []string{"x", "y"} {
				shared, id := newClaim(name, "", "n1", "gpu-0"), types.UID(name)
				shared.Status.Allocation.Devices.Results[0].ShareID = &id
				f.setClaim(name, shared)
			}
			f.advance(pastGrace)
		}, nil},
		"one claim holds a device once": {func(f *judgeFixture) {
			f.claim("x", "", "n1", "gpu-0", "gpu-0")
			f.advance(pastGrace)
		}, []string{"I2: device gpu.example.com/n1/gpu-0 is allocated to claim ml/x and to claim ml/x"}},
	})
}

func TestClaimsFollowTheirPods(t *testing.T) {
	runJudgeCases(t, map[string]judgeCase{
		"a claim on the pod's node, seen after the binding": {func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			f.bind("n1", "a")
			f.advance(time.Second)
			f.claim("x", "a", "n1", "gpu-0")
			f.advance(pastGrace)
		}, nil},
		"a claim on another node": {func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			f.claim("x", "a", "n2", "gpu-0")
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which has device gpu.example.com/n2/gpu-0, which no ResourceSlice offers on that node"}},
		"a device that no slice has": {func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			f.claim("x", "a", "n1", "gpu-7")
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which has device gpu.example.com/n1/gpu-7, which no ResourceSlice offers on that node"}},
		"a claim that is not allocated": {func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			f.claim("x", "", "")
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which is not allocated"}},
		"a claim that is reserved for another pod": {func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			f.claim("x", "b", "n1", "gpu-0")
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which is not reserved for the pod"}},
		"a claim that is reserved for another PodGroup": {func(f *judgeFixture) {
			f.podGroup("g", 1)
			f.pod("a", inPodGroup("g"), withClaim("x"))
			f.setClaim("x", forGroup("h", newClaim("x", "", "n1", "gpu-0")))
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which is not reserved for the pod"}},
		"a claim that is reserved for the pod's PodGroup": {func(f *judgeFixture) {
			f.podGroup("g", 1)
			f.pod("a", inPodGroup("g"), withClaim("x"))
			f.setClaim("x", forGroup("g", newClaim("x", "", "n1", "gpu-0")))
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
		"a device of all nodes that are selected": {func(f *judgeFixture) {
			slice := newSlice("pool")
			slice.Spec.NodeName, slice.Spec.NodeSelector = nil, &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: "shape", Operator: v1.NodeSelectorOpIn, Values: []string{"small"}}}}}}
			f.sliceChanged(nil, slice, f.now)
			f.pod("a", withClaim("x"))
			f.claim("x", "a", "pool", "gpu-0")
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
	})
}
