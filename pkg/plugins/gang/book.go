// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"math"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// book is what one profile knows of every gang: the members that exist, what
// their declaration says, and the attempt that is under way to place them.
//
// It is told of pods by informer events, of declarations by the watch on them,
// and of the fate of members by the extension points, each from its own
// goroutine. PreEnqueue runs under the scheduling queue's lock, so nothing may
// call the queue while it holds mu.
type book struct {
	// profile is the scheduler name whose pods are ours to place. Pods of other
	// schedulers are members too, but nobody here plans or wakes them, or writes
	// on them.
	profile string
	sources gangs.Sources
	// exists asks the pod informer's store, which is never behind the events.
	exists func(*v1.Pod) bool

	mu      sync.Mutex
	records map[gangs.Key]*record
	// natives finds the records of gangs that PodGroup cycles place by the PodGroups
	// in them.
	natives map[gangs.Key]*record
	// keeper is the gang that nodes are kept for, nil if there is none.
	keeper *record
	// aside are pods without a gang that were refused for its sake.
	aside map[types.UID]*v1.Pod
	// recovered is false until the first look for gangs that a crash left half bound.
	recovered bool
	// rests is the room for the rest of such gangs that PodGroup cycles place.
	rests rests
}

func newBook(profile string, sources gangs.Sources, exists func(*v1.Pod) bool) *book {
	return &book{
		profile: profile, sources: sources, exists: exists,
		records: map[gangs.Key]*record{}, natives: map[gangs.Key]*record{}, aside: map[types.UID]*v1.Pod{},
	}
}

// news is what an event means for a gang.
type news struct {
	// ended is the attempt that cannot succeed any more, nil if there is none.
	ended *attempt
	// wake are the members to activate.
	wake []*v1.Pod
	// over says that the gang has no members left.
	over bool
}

// upsert takes note of a pod that is in a gang. It wakes the members when their
// gang became whole.
func (b *book) upsert(pod *v1.Pod) news {
	key, ok := b.sources.Key(pod)
	if !ok && gangs.InPodGroup(pod) {
		return b.nativeSeen(pod)
	}
	if !ok || b.refresh(key, pod) {
		return news{}
	}
	m, ok := b.sources.Member(pod)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !ok || !b.owns(m.Key, pod) {
		return news{}
	}
	rec := b.record(m)
	old := rec.members[pod.UID].Pod
	if old != nil && done(old) && !done(pod) {
		return news{} // the informer of running pods is behind that of ended ones
	}
	rec.put(m)
	b.regain(rec, old, pod)
	ended := rec.disturbed(old, pod, false)
	b.tidy(rec)
	return news{ended: ended, wake: b.due(rec, old, pod)}
}

// refresh replaces a member's pod by one that says nothing new. Most updates of
// a running pod are of this kind, and reading its role again is not cheap.
func (b *book) refresh(key gangs.Key, pod *v1.Pod) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.owed {
		return false
	}
	m, had := rec.members[pod.UID]
	if !had || !alike(m.Pod, pod) {
		return false
	}
	m.Pod = pod
	rec.members[pod.UID] = m
	return true
}

// due returns the members to activate after one of them changed; old is nil for
// a new one.
func (b *book) due(rec *record, old, pod *v1.Pod) []*v1.Pod {
	was, is := old != nil && counts(old), counts(pod)
	switch {
	case was && !is:
		return b.lost(rec, old)
	case rec.owed:
		rec.owed = false
		return rec.pending()
	case rec.whole && old != nil && !was && is:
		return []*v1.Pod{pod} // it can join now, and no event would say so
	case rec.whole || rec.ready == rec.placed || !b.evaluate(rec):
		return nil
	}
	return rec.pending()
}

// lost draws the consequences of a member that does not count any more. If its
// gang was refused, perhaps because of it, or if it was to ask for all, another
// member asks.
func (b *book) lost(rec *record, gone *v1.Pod) []*v1.Pod {
	asks := rec.probe == gone.UID || rec.verdict != nil && !rec.verdict.stale
	rec.whole = false
	rec.stale()
	if b.noteLoss(rec, gone) {
		return b.healed(rec)
	}
	if !asks || rec.ready == rec.placed || !b.evaluate(rec) {
		return nil
	}
	return rec.nextProbe()
}

// meet takes note of a pod that PreEnqueue saw before the informer event came.
// A pod that the informer has dropped already is not taken up again, or it
// would stay a member for ever.
func (b *book) meet(pod *v1.Pod) *record {
	m, ok := b.sources.Member(pod)
	if !ok || !b.exists(pod) {
		return nil
	}
	rec := b.record(m)
	rec.put(m)
	return rec
}

// remove forgets a pod that is not there any more, as far as the scheduler's own
// informer can tell: a member that is done has left that for good, and stays.
func (b *book) remove(pod *v1.Pod) news {
	return b.drop(pod, func(known *v1.Pod) bool { return !done(known) })
}

// erase forgets a pod whatever became of it.
func (b *book) erase(pod *v1.Pod) news {
	return b.drop(pod, func(*v1.Pod) bool { return true })
}

func (b *book) drop(pod *v1.Pod, may func(known *v1.Pod) bool) news {
	key, ok := b.sources.Key(pod)
	if !ok && gangs.InPodGroup(pod) {
		return b.nativeGone(pod, may)
	}
	if !ok {
		return news{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.members[pod.UID].Pod == nil || !may(rec.members[pod.UID].Pod) {
		return news{}
	}
	old := rec.members[pod.UID].Pod
	rec.drop(pod.UID)
	n := news{ended: rec.disturbed(old, pod, true), wake: b.lost(rec, old), over: len(rec.members) == 0}
	b.tidy(rec)
	return n
}

// tidy ends what has nothing left in it: an open attempt whose members are all
// bound, and a record without members. A failed attempt keeps its record, for
// its members still have to give back.
func (b *book) tidy(rec *record) {
	if att := rec.attempt; att != nil && att.phase == open && len(att.nodes) == 0 && len(att.reserved) == 0 {
		rec.attempt = nil
	}
	if len(rec.members) == 0 && rec.attempt == nil && b.records[rec.key] == rec {
		delete(b.records, rec.key)
		metrics.GangGone(b.profile, rec.key.Source)
	}
}

// changed marks the declaration of a gang as to be read again. A plan that was
// made by what it said before is dropped, unless the gang has its places.
func (b *book) changed(key gangs.Key) news {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec := b.natives[key]; rec != nil {
		rec.verdict, rec.turn = nil, turn{heldBack: rec.turn.heldBack}
		return news{} // the scheduler's own queue wakes it
	}
	rec := b.records[key]
	if rec == nil {
		return news{}
	}
	rec.minKnown, rec.whole, rec.owed, rec.verdict, rec.replans, rec.limits = false, false, false, nil, 0, nil
	rec.turn, rec.denied = turn{}, 0
	var n news
	if n.wake = b.release(rec); len(n.wake) > 0 {
		return n
	}
	if rec.attempt != nil && rec.attempt.phase == gathering {
		n.ended, rec.attempt.outdated = rec.attempt, true
	}
	if b.evaluate(rec) {
		n.wake = rec.pending()
	}
	return n
}

// release forgets members that were held only as long as it was not known that
// their object declares no gang. It returns those that wait: from now on they are
// pods like any other.
func (b *book) release(rec *record) []*v1.Pod {
	if rec.attempt != nil {
		return nil
	}
	var free []*v1.Pod
	for _, m := range rec.sorted() {
		if b.owns(rec.key, m.Pod) {
			continue
		}
		rec.drop(m.Pod.UID)
		if rec.waits(m.Pod) {
			free = append(free, m.Pod)
		}
	}
	b.tidy(rec)
	return free
}

// owns says that the pod is in that gang by what is known now.
func (b *book) owns(key gangs.Key, pod *v1.Pod) bool {
	now, ok := b.sources.Key(pod)
	return ok && now == key
}

// gate says whether the pod may enter the queue: it is in no gang after all, or
// it is ready itself, and its gang's quorum exists, or part of the gang is placed,
// so that the pod joins it.
func (b *book) gate(key gangs.Key, pod *v1.Pod) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.owns(key, pod) {
		return true
	}
	rec := b.records[key]
	met := rec == nil || rec.members[pod.UID].Pod == nil
	if met {
		rec = b.meet(pod)
	}
	if rec == nil {
		return false
	}
	// The queue's copy of the pod and ours are updated one after the other.
	ready := gangs.Ready(pod) || gangs.Ready(rec.members[pod.UID].Pod)
	if !ready || rec.whole {
		rec.queued = rec.queued || ready
		return ready
	}
	rec.owed = b.evaluate(rec) && (met || rec.owed)
	rec.queued = rec.queued || rec.whole
	return rec.whole
}

// evaluate looks whether the quorum of a gang is there. As long as the count
// alone says no, it does not look at the members one by one, so that a gang of
// n pods that arrive one after another costs n steps and not n².
func (b *book) evaluate(rec *record) bool {
	if rec.minKnown && rec.ready < rec.min {
		return false
	}
	_, v, err := b.look(rec)
	rec.whole = err == nil && rec.admits(v)
	return rec.whole
}

// admits says that members may be scheduled: all is well, or a part of the gang
// runs, and who comes back to it must not wait for the others.
func (r *record) admits(v gangs.Readiness) bool {
	return v.Problem == "" && !r.loss.healing && (v.Waiting == "" || r.running > 0)
}

// look reads the declaration and holds the members against it.
func (b *book) look(rec *record) (gangs.Gang, gangs.Readiness, error) {
	if rec.native != nil {
		return b.lookNative(rec)
	}
	members := rec.sorted()
	g, err := b.sources.Gang(rec.key, members)
	if err != nil {
		rec.min, rec.minKnown = math.MaxInt, true // until the declaration changes
		return gangs.Gang{}, gangs.Readiness{}, err
	}
	v := gangs.Check(g, members)
	rec.running = running(g, members)
	rec.loss.judge(v.Placed >= g.Min, rec.running)
	rec.min, rec.minKnown = g.Min, rec.running == 0
	return g, v, nil
}

// orderOf gives the time by which the pod's gang stands in the queue.
func (b *book) orderOf(key gangs.Key) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil {
		return time.Time{}, false
	}
	return rec.order, true
}

func (b *book) record(m gangs.Member) *record {
	rec := b.records[m.Key]
	if rec == nil {
		rec = &record{key: m.Key, profile: b.profile, order: m.Pod.CreationTimestamp.Time, members: map[types.UID]gangs.Member{}}
		b.records[m.Key] = rec
		metrics.GangKnown(b.profile, m.Key.Source)
	}
	return rec
}

func compareKeys(a, b gangs.Key) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
