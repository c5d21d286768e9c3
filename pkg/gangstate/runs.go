// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// noteRun updates the time for which the gang has been running, after a change of a pod. If the
// gang no longer runs, noteRun records its run time, unless the gang was evicted.
func (t *Tracker) noteRun(g *Gang, pod *v1.Pod, now time.Time) {
	r := &g.run
	if r.active == 0 {
		if _, evicted := t.evictedAt[gangUnit(g.key)]; !r.began.IsZero() && !g.loss.evicting && !evicted {
			t.runTimes.add(sizeClass(r.most), now.Sub(r.began))
		}
		if !r.began.IsZero() {
			t.noteEnded()
		}
		r.began, r.most = time.Time{}, 0
		return
	}
	r.most = max(r.most, r.active)
	start := now
	if at := pod.Status.StartTime; at != nil && gangs.Live(pod) {
		start = at.Time
	}
	if r.began.IsZero() || start.Before(r.began) {
		r.began = start
	}
}

// notePod records the run time of a pod without a gang, which has ended. Only pods with resource
// claims are kept from reserved nodes, so only their run times are of use.
func (t *Tracker) notePod(pod *v1.Pod, now time.Time) {
	if pod.Status.StartTime == nil || len(pod.Spec.ResourceClaims) == 0 || pod.Spec.SchedulerName != t.options.Profile {
		return
	}
	if _, ok := t.options.Sources.Key(pod); ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runTimes.add(sizeClass(1), now.Sub(pod.Status.StartTime.Time))
	t.noteEnded()
}

// noteEnded records that a gang has ended, so that the reserved nodes are chosen anew.
func (t *Tracker) noteEnded() {
	if holder := t.reserving(); holder != nil {
		holder.reservation.forecast.stale = true
	}
}
