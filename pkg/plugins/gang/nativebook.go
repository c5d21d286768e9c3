// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"maps"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A gang that the scheduler's own PodGroup cycle places is in the book only while
// there is no room for it: healAfter and maxBypass are about such gangs, and ask for
// a memory from one cycle to the next. What its cycle read of it is written down when
// that was refused; events of pods keep it true; once it is placed it is forgotten.

// newNative returns what a gang of a PodGroup cycle is to the queue.
func newNative(profile string, req request) *record {
	rec := &record{key: req.gang.Key, profile: profile, order: req.gang.Created, queued: true, native: &req.gang, running: len(req.placed)}
	if len(req.members) > 0 {
		rec.priority = corev1helpers.PodPriority(req.members[0].Pod)
	}
	return rec
}

// refuseNative notes that a PodGroup cycle found no room for a gang. done are the
// members that have succeeded, which such a cycle does not know of.
func (b *book) refuseNative(req request, done []gangs.Member, message string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rests.end(req.gang.Key, false)
	rec := b.records[req.gang.Key]
	if rec == nil {
		rec = newNative(b.profile, req)
		b.records[rec.key] = rec
	}
	rec.native, rec.members, rec.ready, rec.placed = &req.gang, make(map[types.UID]gangs.Member, len(req.members)), 0, 0
	for _, list := range [][]gangs.Member{req.members, done} {
		for _, m := range list {
			b.natives[gangs.PodGroupKeyOf(m.Pod)] = rec
			m.Key = rec.key
			rec.put(m)
		}
	}
	g, v, _ := b.lookNative(rec)
	rec.whole = v.Waiting == ""
	rec.verdict = &verdict{message: message, at: now}
	if rec.running > 0 && !g.Quorate(rec.sorted(), stands) && rec.loss.since.IsZero() {
		rec.loss.since = now
	}
}

// lookNative holds the members against the gang as its last cycle read it. Members on
// their way out count as running: the PodGroup cycle counts them as scheduled, and
// would take the gang for quorate.
func (b *book) lookNative(rec *record) (gangs.Gang, gangs.Readiness, error) {
	g, members := *rec.native, rec.sorted()
	rec.running = 0
	for _, m := range members {
		if gangs.Placed(m.Pod) && !done(m.Pod) {
			rec.running++
		}
	}
	rec.loss.judge(g.Quorate(members, stands), rec.running)
	v := gangs.Readiness{}
	if !g.Quorate(members, func(m gangs.Member) bool { return counts(m.Pod) }) {
		v.Waiting = "waiting for members of " + rec.key.String()
	}
	return g, v, nil
}

// stands says that the member is placed, or was until it succeeded.
func stands(m gangs.Member) bool { return gangs.Live(m.Pod) && gangs.Placed(m.Pod) }

// settleNative forgets a refused gang of which nothing need be remembered.
func (b *book) settleNative(key gangs.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec := b.records[key]; rec != nil {
		b.tidyNative(rec)
	}
}

func (b *book) tidyNative(rec *record) {
	if len(rec.members) > 0 && (rec.turn.blocked || rec.turn.heldBack || !rec.loss.since.IsZero()) {
		return
	}
	delete(b.records, rec.key)
	maps.DeleteFunc(b.natives, func(_ gangs.Key, other *record) bool { return other == rec })
}

// nativeSeen notes a member of a refused gang that changed. A new one is noted by the
// cycle that it brings about.
func (b *book) nativeSeen(pod *v1.Pod) news {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.natives[gangs.PodGroupKeyOf(pod)]
	if rec == nil {
		return news{}
	}
	m, ok := rec.members[pod.UID]
	if !ok || done(m.Pod) && !done(pod) {
		return news{}
	}
	m.Pod = pod
	rec.put(m)
	return b.nativeNews(rec)
}

// nativeGone forgets a member of a refused gang, as drop does.
func (b *book) nativeGone(pod *v1.Pod, may func(known *v1.Pod) bool) news {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.natives[gangs.PodGroupKeyOf(pod)]
	if rec == nil {
		return news{}
	}
	if m, ok := rec.members[pod.UID]; !ok || !may(m.Pod) {
		return news{}
	}
	rec.drop(pod.UID)
	return b.nativeNews(rec)
}

// nativeNews wakes a gang of which the last evicted member is gone.
func (b *book) nativeNews(rec *record) news {
	healing := rec.loss.healing
	_, v, _ := b.lookNative(rec)
	rec.whole = v.Waiting == "" && !rec.loss.healing
	var n news
	if healing && !rec.loss.healing {
		n.wake = rec.pending()
	}
	b.tidyNative(rec)
	return n
}

// passNative notes that a PodGroup cycle placed a gang.
func (b *book) passNative(stand *record, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pass(stand, now)
	b.rests.end(stand.key, true)
	if rec := b.records[stand.key]; rec != nil {
		rec.turn, rec.verdict = turn{}, nil
		b.tidyNative(rec)
	}
}

// healingOf is the sentence on a gang whose members are being evicted, or "".
func (b *book) healingOf(key gangs.Key) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec := b.records[key]; rec != nil {
		return rec.healing()
	}
	return ""
}
