// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// RoomHeld returns the room that is being made for gangs, and that a pod without a gang must leave
// free: that of gangs of the same or of higher priority. It records the pod, so that the pod is
// activated when the room is not held any more.
func (t *Tracker) RoomHeld(pod *v1.Pod) []gangs.Hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	var holds []gangs.Hold
	priority := corev1helpers.PodPriority(pod)
	for _, g := range t.gangs {
		if priority <= g.priority {
			holds = append(holds, g.clearing.holds()...)
		}
	}
	if len(holds) > 0 && pod.Spec.SchedulerName == t.options.Profile && t.options.Exists(pod) {
		t.displaced[pod.UID] = pod
	}
	return holds
}

// gangUnit is the name of the members of a gang that are evicted together (evict.Unit.Name).
func gangUnit(key gangs.Key) string { return "gang " + key.String() }

// evictedFor explains why no member of a gang may be placed now, "" if the gang is not being
// evicted. Controllers replace evicted pods at once. A replacement must not join members that are
// about to end: the gang would run below its minimum. So it waits until all of them are gone.
func (t *Tracker) evictedFor(key gangs.Key) string {
	for _, g := range t.gangs {
		if g.clearing.phase != clearingLeaving {
			continue
		}
		for i := range g.clearing.room.Victims {
			if victim := &g.clearing.room.Victims[i]; victim.Name == gangUnit(key) && slices.ContainsFunc(victim.Pods, t.options.Exists) {
				return key.Messagef("evicted for gang %s, which has a higher priority; it is placed again when all its members are gone", g.key)
			}
		}
	}
	return ""
}

// giveRoom ends the evictions for a gang that does not use the room that was held for it.
func (t *Tracker) giveRoom(g *Gang) {
	t.roomGiven = t.roomGiven || g.clearing.active()
	g.clearing.end()
}

// clears reports whether pods are being evicted for a gang.
func (t *Tracker) clears() bool {
	for _, g := range t.gangs {
		if g.clearing.active() {
			return true
		}
	}
	return false
}
