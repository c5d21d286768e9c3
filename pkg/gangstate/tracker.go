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

// Options are what a Tracker is made with.
type Options struct {
	// Profile is the scheduler name of the pods that this scheduler places. Pods of other
	// schedulers are members too, but are neither planned nor activated nor written to.
	Profile string
	Sources gangs.Sources
	// Exists reports whether the pod informer's store has this very pod. The store is never
	// behind the events.
	Exists func(*v1.Pod) bool
	// NodeExists reports whether the cluster has a node of that name; nil for always.
	NodeExists func(string) bool
	// Counted is called when a gang of a source becomes known (+1) or is forgotten (-1); nil
	// for none.
	Counted func(source string, change int)
	// Lock guards the tracker; nil for a mutex of its own.
	Lock sync.Locker
	// HealAfter, MaxBypass and MaxReplans are arguments of the plugin Gang.
	HealAfter  time.Duration
	MaxBypass  time.Duration
	MaxReplans int
}

// Tracker knows where each gang of one profile stands. Informer events, extension points
// and the passing of time go in, each from a goroutine of its own; Effects come out. It
// calls neither a client nor the scheduling queue, and has no clock.
type Tracker struct {
	options Options

	mu    sync.Locker
	gangs map[gangs.Key]*Gang
	// podGroups finds the gangs that PodGroup cycles place by the PodGroups in them.
	podGroups map[gangs.Key]*Gang
	// holder is the gang that nodes are reserved for, nil if there is none.
	holder *Gang
	// displaced are pods without a gang that were refused for its reservation.
	displaced map[types.UID]*v1.Pod
	// recovered reports that the gangs that a crash left partly bound were looked for.
	recovered bool
	// heldInVain reports that room for the rest of such a gang was held, and not used; other
	// groups may have been refused for it.
	heldInVain bool
	// onTransition is called at every change of a gang's phase; tests set it.
	onTransition func(key gangs.Key, from, to Phase)
}

// New returns a tracker that knows no gang.
func New(options Options) *Tracker {
	if options.NodeExists == nil {
		options.NodeExists = func(string) bool { return true }
	}
	if options.Counted == nil {
		options.Counted = func(string, int) {}
	}
	if options.Lock == nil {
		options.Lock = &sync.Mutex{}
	}
	return &Tracker{
		options: options, mu: options.Lock, gangs: map[gangs.Key]*Gang{}, podGroups: map[gangs.Key]*Gang{}, displaced: map[types.UID]*v1.Pod{},
	}
}

// settle ends what has nothing left in it: an attempt whose members are all bound, and a
// gang without members. A gang whose attempt is Releasing stays, because its members have
// still to give their nodes back. It is called at the end of every change.
func (t *Tracker) settle(g *Gang) {
	if g.attempt != nil && g.attempt.over() {
		g.attempt = nil
	}
	if g.podGroup == nil && len(g.members) == 0 && g.attempt == nil && t.gangs[g.key] == g {
		delete(t.gangs, g.key)
		t.options.Counted(g.key.Source, -1)
	}
	t.observe(g)
}

// observe notes the phase that a change led to.
func (t *Tracker) observe(g *Gang) {
	phase := g.currentPhase()
	if phase != g.phase && t.onTransition != nil {
		t.onTransition(g.key, g.phase, phase)
	}
	g.phase = phase
}

// gangOf returns the gang of a member, which it makes if the member is its first.
func (t *Tracker) gangOf(m gangs.Member) *Gang {
	g := t.gangs[m.Key]
	if g == nil {
		g = &Gang{
			key: m.Key, sources: t.options.Sources, profile: t.options.Profile,
			order: m.Pod.CreationTimestamp.Time, members: map[types.UID]gangs.Member{},
		}
		t.gangs[m.Key] = g
		t.options.Counted(m.Key.Source, 1)
	}
	return g
}

// belongs reports that the pod is in that gang by what the sources read now.
func (t *Tracker) belongs(key gangs.Key, pod *v1.Pod) bool {
	now, ok := t.options.Sources.Key(pod)
	return ok && now == key
}

// addUnseen adds a pod that PreEnqueue sees before its informer event has come. A pod that
// the informer has dropped already is not added, or it would stay a member for ever.
func (t *Tracker) addUnseen(pod *v1.Pod) *Gang {
	m, ok := t.options.Sources.Member(pod)
	if !ok || !t.options.Exists(pod) {
		return nil
	}
	g := t.gangOf(m)
	g.put(m)
	return g
}

// attemptOf returns the attempt in force for a gang, nil if there is none.
func (t *Tracker) attemptOf(key gangs.Key) *Attempt {
	if g := t.gangs[key]; g != nil {
		return g.attempt
	}
	return nil
}

// holds returns the room that the plans of other gangs count on and no pod shows yet.
func (t *Tracker) holds(except gangs.Key) []gangs.Hold {
	var holds []gangs.Hold
	for key, g := range t.gangs {
		if key != except && g.attempt != nil {
			holds = append(holds, g.attempt.holds()...)
		}
	}
	return holds
}
