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
	try(t, map[string]trial{
		"one device in two claims": {func(c *judgeFixture) {
			c.claim("x", "", "n1", "gpu-0", "gpu-1")
			c.claim("y", "", "n1", "gpu-1")
			c.pass(patience)
		}, []string{"I2: device gpu.example.com/n1/gpu-1 is allocated to claim ml/x and to claim ml/y"}},
		"the same name on another node is another device": {func(c *judgeFixture) {
			c.claim("x", "", "n1", "gpu-0")
			c.claim("y", "", "n2", "gpu-0")
			c.pass(patience)
		}, nil},
		"a device given back may be given again": {func(c *judgeFixture) {
			c.claim("x", "", "n1", "gpu-0")
			c.claim("x", "", "")
			c.claim("y", "", "n1", "gpu-0")
			c.pass(patience)
		}, nil},
		"a write that changes nothing is not reported again": {func(c *judgeFixture) {
			c.claim("x", "", "n1", "gpu-0")
			c.claim("y", "", "n1", "gpu-0")
			c.claim("y", "", "n1", "gpu-0")
			c.pass(patience)
		}, []string{"I2: device gpu.example.com/n1/gpu-0 is allocated to claim ml/x and to claim ml/y"}},
		"admin access takes nothing": {func(c *judgeFixture) {
			c.claim("x", "", "n1", "gpu-0")
			admin := newClaim("y", "", "n1", "gpu-0")
			admin.Status.Allocation.Devices.Results[0].AdminAccess = &yes
			c.setClaim("y", admin)
			c.pass(patience)
		}, nil},
		"a shared device may have several users": {func(c *judgeFixture) {
			for _, name := range []string{"x", "y"} {
				shared, id := newClaim(name, "", "n1", "gpu-0"), types.UID(name)
				shared.Status.Allocation.Devices.Results[0].ShareID = &id
				c.setClaim(name, shared)
			}
			c.pass(patience)
		}, nil},
		"one claim holds a device once": {func(c *judgeFixture) {
			c.claim("x", "", "n1", "gpu-0", "gpu-0")
			c.pass(patience)
		}, []string{"I2: device gpu.example.com/n1/gpu-0 is allocated to claim ml/x and to claim ml/x"}},
	})
}

func TestClaimsFollowTheirPods(t *testing.T) {
	try(t, map[string]trial{
		"a claim on the pod's node, seen after the binding": {func(c *judgeFixture) {
			c.pod("a", withClaim("x"))
			c.bind("n1", "a")
			c.pass(time.Second)
			c.claim("x", "a", "n1", "gpu-0")
			c.pass(patience)
		}, nil},
		"a claim on another node": {func(c *judgeFixture) {
			c.pod("a", withClaim("x"))
			c.claim("x", "a", "n2", "gpu-0")
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which has device gpu.example.com/n2/gpu-0, which no ResourceSlice offers on that node"}},
		"a device that no slice has": {func(c *judgeFixture) {
			c.pod("a", withClaim("x"))
			c.claim("x", "a", "n1", "gpu-7")
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which has device gpu.example.com/n1/gpu-7, which no ResourceSlice offers on that node"}},
		"a claim that is not allocated": {func(c *judgeFixture) {
			c.pod("a", withClaim("x"))
			c.claim("x", "", "")
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which is not allocated"}},
		"a claim that is reserved for another pod": {func(c *judgeFixture) {
			c.pod("a", withClaim("x"))
			c.claim("x", "b", "n1", "gpu-0")
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which is not reserved for the pod"}},
		"a claim that is reserved for another PodGroup": {func(c *judgeFixture) {
			c.podGroup("g", 1)
			c.pod("a", inPodGroup("g"), withClaim("x"))
			c.setClaim("x", forGroup("h", newClaim("x", "", "n1", "gpu-0")))
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1 with claim x, which is not reserved for the pod"}},
		"a claim that is reserved for the pod's PodGroup": {func(c *judgeFixture) {
			c.podGroup("g", 1)
			c.pod("a", inPodGroup("g"), withClaim("x"))
			c.setClaim("x", forGroup("g", newClaim("x", "", "n1", "gpu-0")))
			c.bind("n1", "a")
			c.pass(patience)
		}, nil},
		"a device of all nodes that are selected": {func(c *judgeFixture) {
			slice := newSlice("pool")
			slice.Spec.NodeName, slice.Spec.NodeSelector = nil, &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: "shape", Operator: v1.NodeSelectorOpIn, Values: []string{"small"}}}}}}
			c.sliceChanged(nil, slice, c.now)
			c.pod("a", withClaim("x"))
			c.claim("x", "a", "pool", "gpu-0")
			c.bind("n1", "a")
			c.pass(patience)
		}, nil},
	})
}
