// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A plan may depend on the order in which its members are scheduled: stock filters check a
// topology spread constraint or a pod affinity against the members that have reserved. A
// member whose cycle comes too early is refused. Tracker.Reserve, called when a member has
// reserved its node, activates the next one.

// tooEarly reports whether members that come before this one have not reserved yet.
func (a *Attempt) tooEarly(uid types.UID) bool {
	number := a.plan.Order[uid]
	if number == 0 {
		return false
	}
	for other, n := range a.plan.Order {
		if n < number && a.open(other) {
			return true
		}
	}
	return false
}

// open reports whether a planned member has not reserved yet.
func (a *Attempt) open(uid types.UID) bool {
	return a.plan.Nodes[uid] != "" && a.reserved[uid] == ""
}

// nextInOrder returns the next member of a plan with an order, to activate it.
func (g *Gang) nextInOrder() []*v1.Pod {
	if g.attempt == nil || len(g.attempt.plan.Order) == 0 || g.attempt.phase == Releasing {
		return nil
	}
	var next types.UID
	for uid, number := range g.attempt.plan.Order {
		if g.attempt.open(uid) && (next == "" || number < g.attempt.plan.Order[next]) {
			next = uid
		}
	}
	if pod := g.members[next].Pod; pod != nil && g.waits(pod) {
		return []*v1.Pod{pod}
	}
	return nil
}

// notYet is the refusal of a member whose cycle came too early.
func notYet(key gangs.Key) string {
	return "gang " + key.String() + " is being placed; this member comes after others that it must match"
}
