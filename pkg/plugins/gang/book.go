// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// book is what one profile knows of every gang: the members that exist, what
// their declaration says, and the attempt that is under way to place them.
//
// It is told of pods by informer events, of declarations by the watch on them,
// and of the fate of members by the extension points, each from its own
// goroutine. PreEnqueue runs under the scheduling queue's lock, so nothing may
// call the queue while it holds mu.
type book struct {
	sources gangs.Sources
	// exists asks the pod informer's store, which is never behind the events.
	exists func(*v1.Pod) bool

	mu      sync.Mutex
	records map[gangs.Key]*record
	// recovered is false until the first look for gangs that a crash left half bound.
	recovered bool
}

func newBook(sources gangs.Sources, exists func(*v1.Pod) bool) *book {
	return &book{sources: sources, exists: exists, records: map[gangs.Key]*record{}}
}

// record is one gang.
type record struct {
	key gangs.Key
	// order is when the first pod of the gang was made. It stays for the life
	// of the record, because pods are sorted by it inside heaps.
	order   time.Time
	members map[types.UID]gangs.Member

	// ready counts the members that are placed or could be now.
	ready int
	// min is the quorum as last read; minKnown is false until it was read, and
	// again once the declaration changed.
	min      int
	minKnown bool
	// whole says that the quorum was there when last looked. New members do
	// not change that; a member that goes does.
	whole bool

	attempt *attempt
	verdict *verdict
	// probe is the member that was woken to ask again after a "no".
	probe types.UID
	// limits are what refused plans taught: role -> node -> at most so many.
	limits  map[string]map[string]int
	replans int
}

// verdict is the answer "no" to a gang.
type verdict struct {
	message string
	at      time.Time
}

// upsert takes note of a pod that is in a gang, and returns the pods to
// activate now that their gang became whole.
func (b *book) upsert(pod *v1.Pod) []*v1.Pod {
	m, ok := b.sources.Member(pod)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.record(m)
	old, had := rec.members[pod.UID]
	rec.put(m)
	switch {
	case had && counts(old.Pod) && !counts(pod):
		rec.whole = false
	case rec.whole && had && !counts(old.Pod) && counts(pod):
		return []*v1.Pod{pod} // it can join now, and no event would say so
	}
	if rec.whole || !b.evaluate(rec) {
		return nil
	}
	return rec.pending()
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

// remove forgets a pod. It returns the attempt that cannot succeed any more
// because the pod was part of it, and the members to activate because the pod
// was the one that would have asked for them, if there are such.
func (b *book) remove(pod *v1.Pod) (*attempt, []*v1.Pod) {
	key, ok := b.sources.Key(pod)
	if !ok {
		return nil, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil {
		return nil, nil
	}
	rec.drop(pod.UID)
	rec.whole = false
	if len(rec.members) == 0 {
		delete(b.records, key)
	}
	var others []*v1.Pod
	if rec.probe == pod.UID {
		others = rec.pending()
	}
	return rec.attempt.without(pod.UID), others
}

// changed marks the declaration of a gang as to be read again, and returns the
// members that may be schedulable by what it says now.
func (b *book) changed(key gangs.Key) []*v1.Pod {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil {
		return nil
	}
	rec.minKnown, rec.whole, rec.verdict, rec.replans = false, false, nil, 0
	if !b.evaluate(rec) {
		return nil
	}
	return rec.pending()
}

// gate says whether the pod may enter the queue: it is ready itself, and its
// gang's quorum exists, or part of the gang is placed, so that the pod joins it.
func (b *book) gate(key gangs.Key, pod *v1.Pod) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.members[pod.UID].Pod == nil {
		rec = b.meet(pod)
	}
	if rec == nil {
		return false
	}
	// The queue's copy of the pod and ours are updated one after the other.
	ready := gangs.Ready(pod) || gangs.Ready(rec.members[pod.UID].Pod)
	return ready && (rec.whole || b.evaluate(rec))
}

// evaluate looks whether the quorum of a gang is there. As long as the count
// alone says no, it does not look at the members one by one, so that a gang of
// n pods that arrive one after another costs n steps and not n².
func (b *book) evaluate(rec *record) bool {
	if rec.minKnown && rec.ready < rec.min {
		return false
	}
	_, v, err := b.look(rec)
	rec.whole = err == nil && admits(v)
	return rec.whole
}

// admits says that members may be scheduled: all is well, or a part of the gang
// is placed, and who comes back to it must not wait for the others.
func admits(v gangs.Verdict) bool {
	return v.Problem == "" && (v.Waiting == "" || v.Placed > 0)
}

// look reads the declaration and holds the members against it.
func (b *book) look(rec *record) (gangs.Gang, gangs.Verdict, error) {
	members := rec.sorted()
	g, err := b.sources.Gang(rec.key, members)
	if err != nil {
		rec.min, rec.minKnown = math.MaxInt, true // until the declaration changes
		return gangs.Gang{}, gangs.Verdict{}, err
	}
	v := gangs.Check(g, members)
	rec.min, rec.minKnown = g.Min, v.Placed == 0
	return g, v, nil
}

// standing is what users are told of a gang.
type standing struct {
	// sentence says why the gang waits; "" if it does not.
	sentence string
	gang     gangs.Gang
	// pods are the members that wait.
	pods []*v1.Pod
}

// standing returns what there is to say about a gang now.
func (b *book) standing(key gangs.Key) standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil {
		return standing{}
	}
	g, v, err := b.look(rec)
	s := standing{gang: g, pods: rec.waiting()}
	var lookup *gangs.LookupError
	switch {
	case errors.As(err, &lookup):
		s.sentence = "waiting for " + key.String() + ", which " + lookupReason(lookup)
	case err != nil:
		s.sentence = err.Error()
	case !admits(v):
		s.sentence = cmp.Or(v.Problem, v.Waiting)
	case rec.verdict != nil:
		s.sentence = rec.verdict.message
	}
	return s
}

// lookupReason is the predicate of a lookup's sentence; the subject is said already.
func lookupReason(err *gangs.LookupError) string {
	return strings.TrimPrefix(err.Error(), err.Key.String()+" ")
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
		rec = &record{key: m.Key, order: m.Pod.CreationTimestamp.Time, members: map[types.UID]gangs.Member{}}
		b.records[m.Key] = rec
	}
	return rec
}

// halfBound returns the gangs that are placed in part, in the order of their
// keys: at start these are the ones that a crash interrupted.
func (b *book) halfBound() []gangs.Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recovered {
		return nil
	}
	b.recovered = true
	var keys []gangs.Key
	for key, rec := range b.records {
		if rec.attempt != nil || len(rec.pending()) == 0 {
			continue
		}
		if g, v, err := b.look(rec); err == nil && v.Placed > 0 && v.Placed < g.Min {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func compareKeys(a, b gangs.Key) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func (r *record) put(m gangs.Member) {
	r.drop(m.Pod.UID)
	r.members[m.Pod.UID] = m
	if counts(m.Pod) {
		r.ready++
	}
}

func (r *record) drop(uid types.UID) {
	if m, ok := r.members[uid]; ok {
		delete(r.members, uid)
		if counts(m.Pod) {
			r.ready--
		}
	}
}

// counts says that the pod adds to its gang's quorum.
func counts(pod *v1.Pod) bool {
	return gangs.Live(pod) && (gangs.Placed(pod) || gangs.Ready(pod))
}

// pending returns the members that wait for a node, by name.
func (r *record) pending() []*v1.Pod {
	var pods []*v1.Pod
	for _, m := range r.sorted() {
		if gangs.Live(m.Pod) && !gangs.Placed(m.Pod) {
			pods = append(pods, m.Pod)
		}
	}
	return pods
}

// waiting returns the pending members that no plan has a node for.
func (r *record) waiting() []*v1.Pod {
	pods := r.pending()
	if r.attempt == nil || r.attempt.phase == failed {
		return pods
	}
	return slices.DeleteFunc(pods, func(pod *v1.Pod) bool {
		return r.attempt.nodes[pod.UID] != "" || r.attempt.reserved[pod.UID] != ""
	})
}

// sorted returns the members by name, which is unique in a namespace among the
// pods that exist at one time, and by UID where a pod replaced its namesake.
func (r *record) sorted() []gangs.Member {
	return slices.SortedFunc(maps.Values(r.members), func(a, b gangs.Member) int {
		return cmp.Or(cmp.Compare(a.Pod.Name, b.Pod.Name), cmp.Compare(a.Pod.UID, b.Pod.UID))
	})
}
