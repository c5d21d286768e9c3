// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// noteBypass records that the gang was placed. This ends its own reservation. The gangs
// that wait before it in the queue were bypassed, because it was placed before them. A
// member that joins a running gang bypasses no gang.
func (t *Tracker) noteBypass(g *Gang, now time.Time) {
	g.reservation = Reservation{}
	if g.running > 0 {
		return
	}
	for _, other := range t.gangs {
		if other.reservation.blocked && other.reservation.bypassed.IsZero() && other.precedes(g) {
			other.reservation.bypassed = now
		}
	}
}

// reserving returns the gang for which nodes are reserved, or nil. A reservation has no
// effect while the quorum (the members that must start together) of its gang is not
// ready, for example because the gang lost members.
func (t *Tracker) reserving() *Gang {
	holder := t.holder
	if holder == nil || t.gangs[holder.key] != holder || len(holder.reservation.nodes) == 0 || !holder.quorumReady {
		return nil
	}
	return holder
}

// reservationDue reports whether nodes must be reserved for a gang that was bypassed for too
// long. Nodes are reserved for one gang at a time. A namespace whose reservation ended by its
// limit must wait (resting).
func (t *Tracker) reservationDue(g *Gang, now time.Time) bool {
	return t.reserving() == nil && !now.Before(t.resting[g.key.Namespace]) && g.reservation.due(t.options.MaxBypass, now)
}

// wantsReservation reports whether the planner must search for nodes to reserve if it
// finds no room for the gang.
func (t *Tracker) wantsReservation(g *Gang, now time.Time) bool {
	if g.running > 0 {
		return false
	}
	if t.reserving() == g {
		g.reservation.dropMissing(t.options.NodeExists)
	}
	return t.reservationDue(g, now)
}

// reservedAgainst returns the nodes that the gang must not use because they are reserved
// for another gang, and that gang's key. A gang that is before that one in the queue may use
// them. So may a running gang, because its new members have to join it.
func (t *Tracker) reservedAgainst(g *Gang) (map[string]bool, gangs.Key) {
	holder := t.reserving()
	if holder == nil || holder == g || g.running > 0 || !holder.precedes(g) {
		return nil, gangs.Key{}
	}
	return holder.reservation.nodes, holder.key
}

// AvoidReserved returns the nodes that a pod without a gang must not use, because they are
// reserved for a gang before it in the queue, nil for none. It records the pod, so that the
// pod is activated when the reservation ends.
func (t *Tracker) AvoidReserved(pod *v1.Pod) map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	holder := t.reserving()
	if holder == nil || pod.Spec.SchedulerName != t.options.Profile {
		return nil
	}
	switch priority := corev1helpers.PodPriority(pod); {
	case priority > holder.priority, priority == holder.priority && pod.CreationTimestamp.Time.Before(holder.order):
		return nil
	}
	if t.options.Exists(pod) {
		t.displaced[pod.UID] = pod
	}
	return holder.reservation.nodes
}

// Holds returns the capacity of nodes that a pod of the given priority must leave free: what the
// plans of all gangs need for members that have not reserved yet, and the room that is being made
// for gangs of the same or of higher priority.
func (t *Tracker) Holds(priority int32) []gangs.Hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holds(gangs.Key{}, priority)
}

// endReservation ends a reservation that has lasted longer than its limit. If no
// nodes are reserved then, it returns the pods to activate that were refused because of a
// reservation.
func (t *Tracker) endReservation(now time.Time) []*v1.Pod {
	if holder := t.reserving(); holder != nil {
		lasted := now.Sub(holder.reservation.reservedAt)
		if lasted <= holder.reservation.limit {
			return nil
		}
		t.resting[holder.key.Namespace] = now.Add(lasted)
		holder.reservation, t.holder = Reservation{blocked: true}, nil
	}
	maps.DeleteFunc(t.resting, func(_ string, until time.Time) bool { return !now.Before(until) })
	var pods []*v1.Pod
	if !t.clears() {
		pods = slices.Collect(maps.Values(t.displaced))
		clear(t.displaced)
	}
	for _, g := range t.gangs {
		if g.reservation.displaced {
			g.reservation.displaced = false
			pods = append(pods, t.retryNow(g, now)...)
		}
	}
	return pods
}
