// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Options configures a Tracker.
type Options struct {
	// Profile is the scheduler name of the pods that this scheduler places. Pods of other
	// schedulers are also members, but the tracker does not plan, activate or report them.
	Profile string
	Sources gangs.Sources
	// Exists reports whether the store of the pod informer, or of the informer of ended
	// pods, has this pod, by UID. An informer updates its store before it calls event
	// handlers: a pod that does not exist has no further events. Nil means that every pod
	// exists.
	Exists func(*v1.Pod) bool
	// NodeExists reports whether the cluster has a node of that name. Nil means that every
	// node exists.
	NodeExists func(string) bool
	// Counted, unless it is nil, is called when a gang gets its first pod of the profile (+1)
	// and when it has none any more (-1). source is the way in which the gang is declared.
	Counted func(source string, change int)
	// Lacks returns the reason why a pod that is Ready can have no scheduling cycle, as half
	// a sentence such as "lacks ResourceClaim c, which does not exist", or "". Nil means that
	// no pod lacks anything.
	Lacks func(*v1.Pod) string
	// Lock guards the tracker. Nil means a new mutex.
	Lock sync.Locker
	// HealAfter is how long a gang may lack members of its quorum before its other members are
	// evicted, MaxBypass how long later gangs may overtake it before nodes are reserved for
	// it; 0 means that this never happens. MaxReplans is how many failed plans in a row are
	// repeated without a backoff.
	HealAfter  time.Duration
	MaxBypass  time.Duration
	MaxReplans int
	// Preempts is true if pods of lower priority may be evicted for gangs, PreemptAfter how long
	// a gang waits without room before.
	Preempts     bool
	PreemptAfter time.Duration
	// Backfill lets later gangs and pods use the nodes that are reserved for a gang, if they
	// are expected to end before the gang can start, or take only what it leaves free.
	Backfill bool
}

// Tracker holds the state of each gang of one profile. Its inputs are informer events,
// extension points and the passing of time, each from its own goroutine. Its outputs are
// Effects. It calls neither a client nor the scheduling queue, and has no clock.
type Tracker struct {
	options Options

	mu    sync.Locker
	gangs map[gangs.Key]*Gang
	// home has the gang of each member, except members of PodGroups that the scheduler's own
	// PodGroup cycle places. When a pod is deleted, the sources (the ways to declare a gang)
	// may put it into another gang than before, or into none.
	home map[types.UID]*Gang
	// podGroups has the gangs that PodGroup cycles place, by the keys of their PodGroups.
	podGroups map[gangs.Key]*Gang
	// holder is the gang with reserved nodes, or nil.
	holder *Gang
	// resting has the namespaces with a gang whose reservation ended by its time limit, and
	// the time before which no nodes are reserved for another gang of the namespace.
	resting map[string]time.Time
	// displaced are the waiting pods without a gang that were refused because nodes are
	// reserved for holder.
	displaced map[types.UID]*v1.Pod
	// evictedAt has the gangs and pods that were evicted for gangs within the last hour, by name,
	// and the times.
	evictedAt map[string]time.Time
	// runTimes has the run times of gangs that ended.
	runTimes runTimes
	// outcomes are what became of reservations since the last call of Outcomes.
	outcomes ReservationOutcomes
	// roomGiven is true if room was held for a gang and not used since the last call of Tick.
	// Other gangs may have been refused because of it.
	roomGiven bool
	// recovered is true after PartialGangs has returned the gangs that a crash left
	// partly bound.
	recovered bool
	// ticked is the time of the last call of EndStalled.
	ticked time.Time
	// slowUntil is the time before which gangs with slow plans are not planned again.
	// slowNext is the one of them whose turn it is then, nil if that is unknown.
	slowUntil time.Time
	slowNext  *Gang
	// heldInVain is true if nodes were held for the unbound members of a partly bound
	// gang and not used. Other PodGroups may have been refused because of them.
	heldInVain bool
	// onTransition is called at every change of a gang's phase. Tests set it.
	onTransition func(key gangs.Key, from, to Phase)
}

// New returns a tracker without gangs.
func New(options Options) *Tracker {
	if options.NodeExists == nil {
		options.NodeExists = func(string) bool { return true }
	}
	if options.Exists == nil {
		options.Exists = func(*v1.Pod) bool { return true }
	}
	if options.Lacks == nil {
		options.Lacks = func(*v1.Pod) string { return "" }
	}
	if options.Counted == nil {
		options.Counted = func(string, int) {}
	}
	if options.Lock == nil {
		options.Lock = &sync.Mutex{}
	}
	return &Tracker{
		options: options, mu: options.Lock, gangs: map[gangs.Key]*Gang{}, home: map[types.UID]*Gang{},
		podGroups: map[gangs.Key]*Gang{}, displaced: map[types.UID]*v1.Pod{}, evictedAt: map[string]time.Time{}, resting: map[string]time.Time{},
		runTimes: runTimes{},
	}
}

// settle removes a completed attempt (an executed plan), whose members are all bound, and
// a gang without members. It keeps a gang whose attempt is Releasing, because its members
// have not released their nodes yet. Every change calls it at the end.
func (t *Tracker) settle(g *Gang) {
	if g.attempt != nil && g.attempt.over() {
		g.attempt = nil
	}
	if g.podGroup == nil && len(g.members) == 0 && g.attempt == nil && t.gangs[g.key] == g {
		t.giveRoom(g)
		delete(t.gangs, g.key)
	}
	t.count(g)
	t.observe(g)
}

// count updates the number of gangs that have pods of the profile. It leaves out those of
// PodGroup cycles: the tracker has them only while they have no room.
func (t *Tracker) count(g *Gang) {
	if g.podGroup != nil {
		return
	}
	switch has := g.own > 0; {
	case has && !g.counted:
		g.counted = true
		t.options.Counted(g.key.Source, 1)
	case !has && g.counted:
		g.counted = false
		t.options.Counted(g.key.Source, -1)
	}
}

// observe updates the gang's recorded phase after a change of the gang.
func (t *Tracker) observe(g *Gang) {
	phase := g.currentPhase()
	if phase != g.phase && t.onTransition != nil {
		t.onTransition(g.key, g.phase, phase)
	}
	g.phase = phase
}

// gangOf returns the gang of a member. It creates the gang for its first member.
func (t *Tracker) gangOf(m gangs.Member) *Gang {
	g := t.gangs[m.Key]
	if g == nil {
		g = &Gang{
			key: m.Key, sources: t.options.Sources, profile: t.options.Profile, lacks: t.options.Lacks,
			order: m.Pod.CreationTimestamp.Time, members: map[types.UID]gangs.Member{},
		}
		t.gangs[m.Key] = g
	}
	return g
}

// belongs reports whether the pod is now in the gang with this key, by the sources (the
// ways to declare a gang).
func (t *Tracker) belongs(key gangs.Key, pod *v1.Pod) bool {
	now, ok := t.options.Sources.Key(pod)
	return ok && now == key
}

// addUnseen adds a pod that reaches PreEnqueue before its informer event, and returns its
// gang. It returns nil for a pod that the informer has already dropped: that pod would
// stay a member forever.
func (t *Tracker) addUnseen(pod *v1.Pod) *Gang {
	m, ok := t.options.Sources.Member(pod)
	if !ok || !t.options.Exists(pod) {
		return nil
	}
	g := t.gangOf(m)
	t.join(g, m)
	t.count(g)
	return g
}

// join records a member of a gang, or its new state. The pod leaves any other gang.
func (t *Tracker) join(g *Gang, m gangs.Member) {
	if old := t.home[m.Pod.UID]; old != nil && old != g {
		old.drop(m.Pod.UID)
		old.changes++
		t.settle(old)
	}
	g.put(m)
	t.home[m.Pod.UID] = g
}

// leave forgets a member of a gang.
func (t *Tracker) leave(g *Gang, uid types.UID) {
	g.drop(uid)
	delete(t.home, uid)
}

// Sizes are the numbers of entries that a tracker holds.
type Sizes struct {
	Gangs, Members, PodGroups, Displaced int
}

// Sizes returns the numbers of entries that the tracker holds.
func (t *Tracker) Sizes() Sizes {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Sizes{Gangs: len(t.gangs), Members: len(t.home), PodGroups: len(t.podGroups), Displaced: len(t.displaced)}
}

// Has reports whether the tracker has a gang with that key, or one of the PodGroup with that
// key.
func (t *Tracker) Has(key gangs.Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gangs[key] != nil || t.podGroups[key] != nil
}

// attemptOf returns the current attempt of a gang, or nil.
func (t *Tracker) attemptOf(key gangs.Key) *Attempt {
	if g := t.gangs[key]; g != nil {
		return g.attempt
	}
	return nil
}

// holds returns the capacity of nodes that plans need for members that have not reserved
// yet, for all gangs except one. It includes the room that is being made for gangs, except for
// gangs of a lower priority than the given one.
func (t *Tracker) holds(except gangs.Key, priority int32) []gangs.Hold {
	var holds []gangs.Hold
	for key, g := range t.gangs {
		if key == except {
			continue
		}
		if g.attempt != nil {
			holds = append(holds, g.attempt.holds(g.partial.unfinished())...)
		}
		if priority <= g.priority && (g.attempt == nil || g.attempt.phase == Releasing) {
			holds = append(holds, g.clearing.holds()...)
		}
	}
	return holds
}
