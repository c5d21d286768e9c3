// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// A binding that failed leaves devices in a member's claim, on a node that has no room any
// more. The member gives them back, and its gang runs elsewhere.
func TestClaimOfAFormerPlanIsGivenBack(t *testing.T) {
	e := onGPUs(t)
	node := e.nodeNames(1)[0]
	filler := newPod("filler", asking("90", "1Gi"))
	filler.Spec.NodeName = node
	e.createPods(filler)
	for i, claim := range []string{"left", "fresh"} {
		e.sharedClaim(claim, 1)
		if i == 0 {
			e.AllocateOn(claim, fleet.DriverGPU, node)
		}
	}
	e.podGroup("train", 2, nil)
	pods := members("train", 2, asking("20", "1Gi"))
	naming("left")(pods[0])
	naming("fresh")(pods[1])
	e.createPods(pods...)
	e.Whole(groupLabel+"=train", 2)
	if got := e.Domains(groupLabel+"=train", corev1.LabelHostname); got[node] > 0 {
		t.Errorf("the gang is on %v, and %s has no room", got, node)
	}
}
