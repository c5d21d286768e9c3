// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// A plan counts on members that bind by an earlier one. When one of them goes,
// what gathers is no quorum.
func TestMemberThatBindsGoesWhileOthersGather(t *testing.T) {
	w := newWorld(t, 0)
	key, binds, joins := w.pair("binds", "joins")
	att := &attempt{
		key: key, nodes: map[types.UID]string{joins.UID: "node"}, roles: map[types.UID]string{joins.UID: "one"},
		reserved: map[types.UID]string{binds.UID: "node"}, short: map[string]int{"one": 1},
	}
	w.book.begin(att)
	if ended := w.book.remove(binds).ended; ended != att {
		t.Error("the attempt goes on below its quorum")
	}
}

// Members for which there is no room keep their answer when the gate opens;
// those that came after the plan was made get one of their own.
func TestOpenGateWakesThoseWhoCameMeanwhile(t *testing.T) {
	w := newWorld(t, 0)
	key := w.groups.declare("a", 1)
	p, left, came, notReady := member("a", "p"), member("a", "left"), member("a", "came"), gated(member("a", "gated"))
	w.book.upsert(left)
	w.book.upsert(p)
	w.room = 1
	att := &attempt{
		key: key, nodes: map[types.UID]string{p.UID: "node"}, roles: map[types.UID]string{p.UID: "one", left.UID: "one"},
		reserved: map[types.UID]string{}, short: map[string]int{"one": 1},
	}
	w.book.begin(att)
	w.book.refuse(key, "no room for one more", "", w.now)
	w.book.upsert(came)
	w.book.upsert(notReady)
	_, others, ok := w.book.openGate(att)
	if !ok || len(others) != 1 || others[0].Name != "came" {
		t.Errorf("opened %v, woken %v; want the one that came meanwhile", ok, others)
	}
	if message, still := w.book.refusal(key, came.UID, w.now); still {
		t.Errorf("it is answered with %q, which was said of others", message)
	}
}

// A member may leave after the planner was asked and before its answer is in force.
// Nothing would ever take it off the plan.
func TestMemberLeavesWhileItsPlaceIsPlanned(t *testing.T) {
	for name, test := range map[string]struct {
		short       int
		whole, over bool
	}{
		"it was to join a gang that runs": {short: 0, whole: true, over: true},
		"the quorum counts on it":         {short: 2, whole: false, over: false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			key := w.groups.declare("a", 1)
			stays, leaves := on1(member("a", "stays"), "node"), member("a", "leaves")
			w.book.upsert(stays)
			w.book.upsert(leaves)
			att := &attempt{
				key: key, nodes: map[types.UID]string{leaves.UID: "node"}, roles: map[types.UID]string{leaves.UID: "one"},
				reserved: map[types.UID]string{}, short: map[string]int{"one": test.short},
			}
			w.book.remove(leaves)
			if _, whole := w.book.begin(att); whole != test.whole {
				t.Errorf("the plan is whole: %v, want %v", whole, test.whole)
			}
			if over := w.book.attempt(key) == nil; over != test.over {
				t.Errorf("the plan is over: %v, want %v", over, test.over)
			}
		})
	}
}
