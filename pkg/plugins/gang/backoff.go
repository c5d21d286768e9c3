// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A gang that was refused is not planned again at every event that may help it, but
// after firstBackoff at the soonest, and then twice as long each time up to maxBackoff.
// That is less than the ten seconds that stock lets a pod wait, because who needs the
// most room must look often to see it before others take it.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 4 * time.Second
)

// deny gives the gang the answer "no".
func (r *record) deny(message string, now time.Time) {
	r.verdict, r.helped = &verdict{message: message, at: now}, false
	if r.denied == 0 {
		r.refusedSince = now
	}
	r.denied++
}

// backsOff is for how long the gang is not to ask again, for none of its members.
func (r *record) backsOff(now time.Time) time.Duration {
	if r.verdict == nil {
		return 0
	}
	pause := firstBackoff
	for i := 1; i < r.denied && pause < maxBackoff; i++ {
		pause *= 2
	}
	return max(0, min(pause, maxBackoff)-now.Sub(r.verdict.at))
}

// forgive drops the answer "no", because something changed that may turn it,
// and notes the member that asks again. It says false if there is none to drop, or if
// the gang backs off; the first that comes in that time is told how long that is yet.
func (b *book) forgive(key gangs.Key, probe *v1.Pod, now time.Time) (asks bool, later time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.verdict == nil && (rec.probe == "" || now.Sub(rec.probed) < probeLife) {
		return false, 0
	}
	if later = rec.backsOff(now); later > 0 {
		if rec.helped {
			return false, 0
		}
		rec.helped = true
		return false, later
	}
	rec.verdict, rec.helped, rec.replans, rec.limits, rec.probe, rec.probed = nil, false, 0, nil, probe.UID, now
	return true, 0
}

// retry returns the member that asks for a gang which has backed off, if something
// happened meanwhile that may help it.
func (b *book) retry(key gangs.Key, now time.Time) []*v1.Pod {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || !rec.helped || rec.backsOff(now) > 0 {
		return nil
	}
	rec.helped = false
	return rec.askAgain()
}

// missed takes note of an event that may help a member which was not asked about it,
// because its cycle is still to come; it is to be one of those that the event is
// about, if that is known. It returns after how long the gang is to ask again, 0 if
// it need not.
func (b *book) missed(key gangs.Key, now time.Time, about []types.UID) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.verdict == nil || rec.helped || now.Sub(rec.verdict.at) > verdictLife {
		return 0 // by then every cycle has come
	}
	concerns := func(uid types.UID) bool { _, is := rec.members[uid]; return is }
	if len(about) > 0 && !slices.ContainsFunc(about, concerns) {
		return 0
	}
	rec.helped = true
	return max(1, rec.backsOff(now))
}

// forgive has the gang ask again, at once or when it has backed off. It says whether
// this member is the one that asks now.
func (g *Gang) forgive(key gangs.Key, pod *v1.Pod) bool {
	asks, later := g.book.forgive(key, pod, time.Now())
	g.askLater(key, later)
	return asks
}

// askLater has a member of the gang ask for all after a while; 0 is never.
func (g *Gang) askLater(key gangs.Key, after time.Duration) {
	if after > 0 {
		time.AfterFunc(after, func() { g.activate(g.book.retry(key, time.Now())) })
	}
}
