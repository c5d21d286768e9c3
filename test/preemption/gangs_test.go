// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
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

// A gang gets the room of members beyond the minimum of other gangs. No gang falls below its
// minimum, though younger gangs of the same priority would be cheaper by their age.
func TestMembersBeyondTheMinimumGoFirst(t *testing.T) {
	e := start(t)
	e.create(workload{name: "elastic", priority: "low", replicas: 3, min: 1, cpu: "60", leaf: leaves[0]})
	e.UntilBound(of("elastic"), 3)
	e.create(workload{name: "rigid", priority: "low", replicas: 1, min: 1, cpu: "60", leaf: leaves[0]})
	e.UntilBound(of("rigid"), 1)
	rigid := e.uids(of("rigid"))
	e.create(workload{name: "urgent", priority: "high", replicas: 2, min: 2, cpu: "60", leaf: leaves[0]})
	e.UntilBound(of("urgent"), 2)
	if n := e.Bound(of("elastic")); n != 1 {
		t.Errorf("%d members of the gang with a minimum of 1 are left, want 1", n)
	}
	if diff := cmp.Diff(rigid, e.uids(of("rigid"))); diff != "" {
		t.Errorf("the gang at its minimum (-before,+after):\n%s", diff)
	}
}

// A gang is evicted whole or not at all: its other pods do not stay behind.
func TestGangLeavesWhole(t *testing.T) {
	e := start(t)
	e.create(workload{name: "four", priority: "low", replicas: 4, min: 4, cpu: "60", leaf: leaves[0]})
	e.UntilBound(of("four"), 4)
	e.create(workload{name: "urgent", priority: "high", replicas: 1, min: 1, cpu: "60", leaf: leaves[0]})
	e.UntilBound(of("urgent"), 1)
	if n := e.Bound(of("four")); n != 0 {
		t.Errorf("%d members of the gang still run, want none", n)
	}
}

// Who is not evicted: a gang of equal priority, one that a PodDisruptionBudget protects, and
// anybody for a gang that never preempts.
func TestWhoStays(t *testing.T) {
	for name, test := range map[string]struct {
		victim, urgent workload
		budget         bool
		says           string
	}{
		"equal priority":         {victim: workload{priority: "low"}, urgent: workload{priority: "low"}, says: "0 of 4 members fit"},
		"preemptionPolicy Never": {victim: workload{priority: "low"}, urgent: workload{priority: "polite"}, says: "0 of 4 members fit"},
		"a PodDisruptionBudget": {
			victim: workload{priority: "low"}, urgent: workload{priority: "high"}, budget: true,
			says: "nobody may be evicted for it: gang ganglabel NS/victim is protected by PodDisruptionBudget keep",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t)
			victim, urgent := test.victim, test.urgent
			victim.name, victim.replicas, victim.min, victim.cpu, victim.leaf = "victim", 4, 4, "60", leaves[0]
			urgent.name, urgent.replicas, urgent.min, urgent.cpu, urgent.leaf = "urgent", 4, 4, "60", leaves[0]
			if test.budget {
				e.Create("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: keep}\nspec: {minAvailable: 4, selector: {matchLabels: {of: victim}}}")
			}
			e.create(victim)
			e.UntilBound(of("victim"), 4)
			before := e.uids(of("victim"))
			e.create(urgent)
			e.Waiting(of("urgent"), 4, strings.ReplaceAll(test.says, "NS", e.Namespace))
			e.Never("somebody is evicted", func() bool { return !slices.Equal(before, e.uids(of("victim"))) })
			if !test.budget {
				return
			}
			background := metav1.DeletePropagationBackground
			if err := e.Client.PolicyV1().PodDisruptionBudgets(e.Namespace).Delete(t.Context(), "keep", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
				t.Fatal(err)
			}
			e.UntilBound(of("urgent"), 4) // the gang is planned again without an event
		})
	}
}

// A scheduler that is killed while the victims end waits for the same victims after its restart,
// and evicts nobody else.
func TestRestartWhileVictimsEnd(t *testing.T) {
	e := start(t)
	for i, name := range []string{"first", "second"} {
		e.create(workload{name: name, priority: []string{"lower", "low"}[i], replicas: 2, min: 2, cpu: "60", leaf: leaves[0], finalizer: "test.dovetail.dev/keep"})
		e.UntilBound(of(name), 2)
	}
	second := e.uids(of("second"))
	e.create(workload{name: "urgent", priority: "high", replicas: 2, min: 2, cpu: "60", leaf: leaves[0]})
	e.Eventually("the victims are ending", func() bool { return e.ending(of("first")) == 2 })
	for range 2 {
		if err := e.Cluster.Kill(localcluster.Dovetail); err != nil {
			t.Fatal(err)
		}
		if err := e.Cluster.Restart(t.Context(), localcluster.Dovetail); err != nil {
			t.Fatal(err)
		}
		e.Waiting(of("urgent"), 2, "waiting for 2 pods that are ending on 2 nodes")
	}
	if diff := cmp.Diff(second, e.uids(of("second"))); diff != "" || e.ending(of("second")) > 0 {
		t.Errorf("the other gang (-before,+after):\n%s", diff)
	}
	e.letEnd(of("first"))
	e.UntilBound(of("urgent"), 2)
	if diff := cmp.Diff(second, e.uids(of("second"))); diff != "" {
		t.Errorf("the other gang (-before,+after):\n%s", diff)
	}
}

// The room that is being made is given to nobody else: not to a gang of the same priority that
// comes later, nor to a single pod of lower priority.
func TestRoomIsHeld(t *testing.T) {
	e := start(t)
	e.create(workload{name: "victim", priority: "lower", replicas: 2, min: 2, cpu: "60", leaf: leaves[0], finalizer: "test.dovetail.dev/keep"})
	e.UntilBound(of("victim"), 2)
	e.create(workload{name: "others", priority: "high", replicas: 2, min: 2, cpu: "60", leaf: leaves[0]})
	e.UntilBound(of("others"), 2)
	e.create(workload{name: "urgent", priority: "high", replicas: 2, min: 2, cpu: "60", leaf: leaves[0]})
	e.Eventually("the victims are ending", func() bool { return e.ending(of("victim")) == 2 })
	e.create(workload{name: "later", priority: "high", replicas: 1, min: 1, cpu: "60", leaf: leaves[0]})
	e.create(workload{name: "alone", priority: "low", replicas: 1, cpu: "60", leaf: leaves[0]})
	e.Waiting(of("later"), 1, "0 of 1 member fit")
	e.letEnd(of("victim"))
	e.UntilBound(of("urgent"), 2)
	for _, name := range []string{"later", "alone"} {
		if n := e.Bound(of(name)); n > 0 {
			t.Errorf("%s got the room", name)
		}
	}
}
