// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// record is one gang.
type record struct {
	key     gangs.Key
	profile string
	// priority is the members'. They all have the same, or the gang has a problem.
	priority int32
	// order is when the first pod of the gang was made. It stays once a member
	// may have entered the queue, because pods are sorted by it inside heaps.
	order   time.Time
	queued  bool
	members map[types.UID]gangs.Member

	// ready counts the members that are placed or could be now, placed those
	// of them that are.
	ready, placed int
	// running is how many members stood on a node and were not done, when last
	// looked.
	running int
	// min is the quorum as last read; minKnown is false until it was read, and
	// again once the declaration changed or a member was placed; and always while
	// members run, because who joins those waits for no quorum.
	min      int
	minKnown bool
	// whole says that the quorum was there when last looked. New members do
	// not change that; a member that goes does.
	whole bool
	// owed says that PreEnqueue found the quorum complete, under the queue's
	// lock, where it could not activate the members that waited for it.
	owed bool

	attempt *attempt
	verdict *verdict
	// denied counts the answers "no" since a member was last placed, the first of which
	// came at refusedSince. helped says that something happened since the last one that
	// may turn it.
	denied       int
	refusedSince time.Time
	helped       bool
	// probe is the member that was woken to ask again after a "no", and probed
	// when that was.
	probe  types.UID
	probed time.Time
	// limits are what refused plans taught: role -> node -> at most so many.
	limits  map[string]map[string]int
	replans int
	turn    turn
	loss    loss
	// native is the gang as its last PodGroup cycle read it; nil unless the
	// scheduler has such a cycle for it.
	native *gangs.Gang
}

// verdict is the answer "no" to a gang.
type verdict struct {
	message string
	at      time.Time
	// to is the member in whose cycle it was given, "" for none.
	to types.UID
	// stale says that the members are not those that it was given to.
	stale bool
}

func (r *record) put(m gangs.Member) {
	old := r.members[m.Pod.UID].Pod
	r.drop(m.Pod.UID)
	r.members[m.Pod.UID] = m
	r.priority = corev1helpers.PodPriority(m.Pod)
	if born := m.Pod.CreationTimestamp.Time; !r.queued && born.Before(r.order) {
		r.order = born
	}
	if counts(m.Pod) {
		r.ready++
		if gangs.Placed(m.Pod) {
			r.placed++
		}
	}
	if old == nil || counts(old) != counts(m.Pod) {
		r.stale()
	}
	if gangs.Placed(m.Pod) && (old == nil || !gangs.Placed(old)) {
		r.minKnown, r.denied = false, 0 // who comes back to a placed gang waits for no quorum
	}
}

func (r *record) drop(uid types.UID) {
	m, ok := r.members[uid]
	if !ok {
		return
	}
	delete(r.members, uid)
	if counts(m.Pod) {
		r.ready--
		if gangs.Placed(m.Pod) {
			r.placed--
		}
	}
}

// stale marks the answer "no" as given to other members.
func (r *record) stale() {
	if r.verdict != nil {
		r.verdict.stale = true
	}
}

// nextProbe makes the first member by name that could be placed, and has no place yet,
// ask for all.
func (r *record) nextProbe() []*v1.Pod {
	for _, pod := range r.waiting() {
		if gangs.Ready(pod) {
			r.probe, r.probed = pod.UID, time.Now()
			return []*v1.Pod{pod}
		}
	}
	return nil
}

// waits says that the pod waits for a node, and for us to find it.
func (r *record) waits(pod *v1.Pod) bool {
	return gangs.Live(pod) && !gangs.Placed(pod) && pod.Spec.SchedulerName == r.profile
}

// counts says that the pod adds to its gang's quorum.
func counts(pod *v1.Pod) bool {
	return gangs.Live(pod) && (gangs.Placed(pod) || gangs.Ready(pod))
}

// done says that the pod has succeeded: it counts for its gang, and is nowhere.
func done(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded
}

// running counts the members of the gang that stand on nodes.
func running(g gangs.Gang, members []gangs.Member) int {
	n := 0
	for _, m := range members {
		if g.Has(m) && gangs.Live(m.Pod) && gangs.Placed(m.Pod) && !done(m.Pod) {
			n++
		}
	}
	return n
}

// alike says that two states of a pod are the same to a gang.
func alike(a, b *v1.Pod) bool {
	return a.UID == b.UID && counts(a) == counts(b) && gangs.Placed(a) == gangs.Placed(b) &&
		gangs.Ready(a) == gangs.Ready(b) && gangs.Live(a) == gangs.Live(b) && done(a) == done(b) &&
		maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations) &&
		apiequality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences) &&
		apiequality.Semantic.DeepEqual(a.Status.ResourceClaimStatuses, b.Status.ResourceClaimStatuses) &&
		(a.Generation == b.Generation && a.Generation > 0 || apiequality.Semantic.DeepEqual(a.Spec, b.Spec))
}

// pending returns the members that wait for a node, by name.
func (r *record) pending() []*v1.Pod {
	var pods []*v1.Pod
	for _, m := range r.sorted() {
		if r.waits(m.Pod) {
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
