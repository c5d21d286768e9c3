// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// All GPUs and NICs of 16 nodes are in use by gangs of low priority. A RayCluster of high
// priority whose workers must be in one leaf starts on paired devices, and only the two gangs of
// the leaf with the lowest priority are evicted. The stock scheduler leaves the same pods
// pending, because it frees no devices.
func TestRayClusterOfHighPriorityStarts(t *testing.T) {
	e := start(t)
	e.Create(wholeNode)
	var all []string
	for i, leaf := range leaves {
		priority := "low"
		if i == 2 {
			priority = "lower"
		}
		for _, part := range []string{"a", "b"} {
			name := "gang-" + leaf + part
			all = append(all, name)
			e.create(workload{name: name, priority: priority, replicas: 2, min: 2, cpu: "4", devices: true, leaf: leaf})
		}
	}
	before := map[string][]string{}
	for _, name := range all {
		e.UntilBound(of(name), 2)
		before[name] = e.uids(of(name))
	}
	e.create(workload{name: "stock", priority: "high", replicas: 1, cpu: "4", devices: true, scheduler: "default-scheduler"})
	e.Eventually("stock says that it cannot preempt", func() bool { return e.said("preemption: ") })
	if n := e.Bound(of("stock")); n != 0 {
		t.Errorf("the stock scheduler placed %d pods on devices in use", n)
	}
	e.remove("stock") // it would take the room that is made below
	e.Create(rayCluster("urgent", 4))
	e.UntilBound("ray.io/cluster=urgent", 5)
	if leaf := e.OnlyDomain("ray.io/group=workers", fleet.LabelLeaf); leaf != leaves[2] {
		t.Errorf("the workers are in leaf %s, want %s, where the gangs have the lowest priority", leaf, leaves[2])
	}
	var evicted []string
	for _, name := range all {
		if !slices.Equal(before[name], e.uids(of(name))) {
			evicted = append(evicted, name)
		}
	}
	if diff := cmp.Diff([]string{"gang-" + leaves[2] + "a", "gang-" + leaves[2] + "b"}, evicted); diff != "" {
		t.Errorf("evicted gangs (-want,+got):\n%s", diff)
	}
	for _, sentence := range []string{
		"evicting 4 pods of lower priority (ganglabel " + e.Namespace + "/gang-" + leaves[2] + "a, ganglabel " + e.Namespace + "/gang-" + leaves[2] + "b)",
		"evicted for gang raycluster " + e.Namespace + "/urgent of priority 1000, which needs its 32 devices",
	} {
		e.Eventually("an event says: "+sentence, func() bool { return e.said(sentence) })
	}
}
