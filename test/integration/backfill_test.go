// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// While nodes are reserved for a gang that cannot start yet, a later gang must be placed on them
// if its time limit ends it early enough. A gang with a long limit waits, and the message says
// which limit would do. The gang with the reservation starts as soon as its nodes are free.
func TestShortGangsUseReservedNodes(t *testing.T) {
	const bypass = 5 * time.Second
	e := onOwn(t, localcluster.Options{
		Fleets:         []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=1,nodes=4")},
		DovetailConfig: withGangArgs(t, fmt.Sprintf("maxBypass: %v", bypass), "reserve: Backfill"),
		Without:        withoutOthers,
	})
	single := func(name, limit string) string {
		e.podGroup(name, 1, nil)
		e.createPods(members(name, 1, asking("20", "1Gi"), func(p *corev1.Pod) { p.Annotations[gangs.TimeLimitAnnotation] = limit })...)
		return groupLabel + "=" + name
	}
	first := single("first", "10m")
	e.Whole(first, 1)
	large := groupLabel + "=large"
	e.podGroup("large", 4, nil)
	e.createPods(members("large", 4, asking("20", "1Gi"))...)
	e.Refused(large, 4, "3 of 4 members fit")
	second := single("second", "10m") // bypasses it
	e.Whole(second, 1)
	e.Eventually("nodes are reserved for the large gang", func() bool {
		return e.said(large, "; 4 nodes are reserved for it, because later gangs have bypassed it for longer than maxBypass (5s); it is expected to start by ") == 4
	})
	short := single("short", "5s")
	e.Whole(short, 1)
	long := single("long", "1h")
	e.Eventually("a gang with a long limit is held back", func() bool {
		return e.said(long, "held back: its only node is reserved for podgroup "+e.Namespace+"/large, which has been bypassed longer than maxBypass (5s); with a time limit that ends it by ") == 1
	})
	for _, running := range []string{first, second, short} {
		e.RemovePods(running)
	}
	e.Whole(large, 4)
	if n := e.Bound(long); n > 0 {
		t.Errorf("%d pods of the gang with a long limit are bound", n)
	}
	e.RemovePods(large)
	e.Whole(long, 1)
}
