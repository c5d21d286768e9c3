// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// phase is where an attempt stands.
type phase int

const (
	// gathering: members reserve their planned nodes and wait in Permit.
	gathering phase = iota
	// open: the quorum has reserved, so everyone may bind.
	open
	// failed: whoever reserved gives back; nobody is placed by this plan.
	failed
)

// attempt is one plan on its way from the planner to the bindings. The book's
// lock guards it.
type attempt struct {
	key  gangs.Key
	gang gangs.Gang
	// nodes is where the plan puts each member that is not placed yet.
	nodes map[types.UID]string
	roles map[types.UID]string
	// rails is the alignment unit that the plan has for a member, where it has one.
	rails map[types.UID]int
	// aligned is what the gang says of its members' devices.
	aligned gangs.Alignment
	// needs is what each of those members takes.
	needs map[types.UID]plan.Need
	// reserved holds the members past Reserve until the informer shows them
	// bound. The scheduler's own snapshot has them on their nodes.
	reserved map[types.UID]string
	// tried counts the cycles of each planned member. One that ends in an error
	// tells us nothing, so a second one is how we learn of it.
	tried map[types.UID]int
	// short is how many of each role the quorum still waits for.
	short  map[string]int
	phase  phase
	reason string
	// outdated says that it ended because the gang is not what it was planned
	// as, which is no fault of the plan.
	outdated bool
	// where is the domain that the plan chose, for people.
	where string
	began time.Time
}

// disturbed says what a change of a member, or its end, means for the attempt
// under way. It returns the attempt if that ends it.
func (r *record) disturbed(old, pod *v1.Pod, gone bool) *attempt {
	att, placed := r.attempt, gangs.Placed(pod)
	gone = gone || !counts(pod)
	if att == nil || !gone && !placed {
		return nil
	}
	stood := att.reserved[pod.UID] != "" || old != nil && counts(old) && gangs.Placed(old)
	if placed || att.phase == open {
		delete(att.reserved, pod.UID) // a pod on its node says so itself
	}
	if att.phase == gathering && (gone && stood || att.nodes[pod.UID] != "") {
		att.outdated = true // its quorum was counted otherwise
		return att
	}
	delete(att.nodes, pod.UID)
	return nil
}

// maxTries is how many cycles of a member may end in an error, which may pass,
// while the others hold their places for it.
const maxTries = 2

// turn is what the attempt under way says to a member whose cycle begins: its
// node, or why it has none now; neither, if its gang is to be planned. It
// returns the attempt too if the member has been tried too often.
func (b *book) turn(key gangs.Key, uid types.UID) (node, refusal string, ended *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	att := b.attempt(key)
	if att == nil {
		return "", "", nil
	}
	node = att.nodes[uid]
	switch {
	case att.phase == failed:
		return "", "gang " + key.String() + " is planned again: " + att.reason, nil
	case att.phase == gathering && node == "":
		return "", "gang " + key.String() + " is being placed; this member joins it afterwards", nil
	case att.phase == gathering:
		att.tried[uid]++
		if att.tried[uid] > maxTries {
			return "", "gang " + key.String() + " is planned again: cycles of this member end in errors", att
		}
	}
	return node, "", nil
}

// planned returns the node that the present plan has for the member.
func (b *book) planned(key gangs.Key, uid types.UID) (string, *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.attempt == nil {
		return "", nil
	}
	if rec.attempt.phase == failed {
		return "", rec.attempt
	}
	return rec.attempt.nodes[uid], rec.attempt
}

// instructions returns what the present plan says about the member that it sends to the
// node.
func (b *book) instructions(key gangs.Key, uid types.UID, node string) cluster.Planned {
	b.mu.Lock()
	defer b.mu.Unlock()
	planned := cluster.Planned{Node: node, Rail: -1, Gang: key.String()}
	if att := b.attempt(key); att != nil {
		planned.Alignment = att.aligned
		if rail, ok := att.rails[uid]; ok {
			planned.Rail = rail
		}
	}
	return planned
}

// begin puts a fresh plan in force and returns its members, to be activated.
// Members of an earlier open attempt that still bind stay reserved. It says false if
// the quorum counts on a member that left while the plan was made; one that only was
// to join the gang is taken off the plan, which would never end otherwise.
func (b *book) begin(att *attempt) (others []*v1.Pod, whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[att.key]
	if rec == nil {
		return nil, true // the last member was deleted while the plan was made
	}
	if rec.attempt != nil {
		maps.Copy(att.reserved, rec.attempt.reserved)
		for uid := range rec.attempt.reserved {
			att.roles[uid] = rec.attempt.roles[uid]
		}
	}
	if quorate(att.short) {
		att.phase = open
	}
	att.tried = map[types.UID]int{}
	b.pass(rec, time.Now())
	rec.attempt, rec.verdict, rec.probe = att, nil, ""
	planned := len(att.nodes)
	maps.DeleteFunc(att.nodes, func(uid types.UID, _ string) bool {
		m, ok := rec.members[uid]
		return !ok || !counts(m.Pod) || gangs.Placed(m.Pod)
	})
	if att.outdated = att.phase == gathering && len(att.nodes) < planned; att.outdated {
		return nil, false
	}
	others = slices.DeleteFunc(rec.pending(), func(pod *v1.Pod) bool { return att.nodes[pod.UID] == "" })
	b.tidy(rec)
	return others, true
}

// refuse puts the answer "no" in force, given in the cycle of that member; "" is none.
func (b *book) refuse(key gangs.Key, message string, to types.UID, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec := b.records[key]; rec != nil {
		rec.deny(message, now)
		rec.verdict.to, rec.probe = to, ""
	}
}

// refusal returns the answer "no" that is still good for the members that come
// up one after the other once their gang was refused. The one in whose cycle it was
// given does not get it again, but asks anew: when it comes up again, something may have
// happened of which nobody was told, because the queue tells only those of an event
// that wait, and the others' cycles were still to come.
func (b *book) refusal(key gangs.Key, uid types.UID, now time.Time) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.verdict == nil || rec.verdict.stale || rec.verdict.to == uid || now.Sub(rec.verdict.at) > verdictLife {
		return "", false
	}
	return rec.verdict.message, true
}

// probeLife is how long the others rely on the member that was woken to ask for
// all: longer than the longest backoff that a pod waits before its cycle. After
// that another may ask, whatever became of the first.
const probeLife = 15 * time.Second

// reserve notes that the member holds its node.
func (b *book) reserve(key gangs.Key, uid types.UID, node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if att := b.attempt(key); att != nil {
		att.reserved[uid] = node
	}
}

// unreserve notes that the member gave its node back. It returns the attempt
// that cannot become whole any more by that, if there is one, and whether the
// member comes back by itself, because its gang runs.
func (b *book) unreserve(key gangs.Key, uid types.UID) (ended *attempt, again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.attempt == nil {
		return nil, false
	}
	att := rec.attempt
	delete(att.reserved, uid)
	switch att.phase {
	case gathering:
		return att, false
	case open:
		delete(att.nodes, uid) // it comes back as a late member
		b.tidy(rec)
		return nil, true
	}
	return nil, false
}

// arrival is what Permit must do with a member.
type arrival int

const (
	pass  arrival = iota // the gate is open
	hold                 // others are missing
	last                 // the quorum is complete with this member
	turns                // the attempt failed meanwhile
)

// arrive notes that the member stands in Permit.
func (b *book) arrive(key gangs.Key, uid types.UID) (arrival, *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	att := b.attempt(key)
	if att == nil {
		return turns, nil
	}
	switch att.phase {
	case failed:
		return turns, att
	case open:
		return pass, att
	}
	if role := att.roles[uid]; att.short[role] > 0 {
		att.short[role]--
	}
	if quorate(att.short) {
		return last, att
	}
	return hold, att
}

// quorate says that no role lacks anybody.
func quorate(short map[string]int) bool {
	for _, n := range short {
		if n > 0 {
			return false
		}
	}
	return true
}

// openGate lets the whole gang through, unless the attempt failed since its last
// member arrived. It returns who waits, and the members that the plan did not
// know of and that may join now.
func (b *book) openGate(att *attempt) (waiting []types.UID, others []*v1.Pod, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if att.phase != gathering {
		return nil, nil, false
	}
	att.phase = open
	waiting = slices.Collect(maps.Keys(att.reserved))
	rec := b.records[att.key]
	if rec == nil {
		return waiting, nil, true
	}
	rec.replans, rec.limits = 0, nil
	others = slices.DeleteFunc(rec.pending(), func(pod *v1.Pod) bool {
		return att.roles[pod.UID] != "" || !gangs.Ready(pod)
	})
	if len(others) > 0 {
		rec.stale() // there was no room for members of the plan; these are others
	}
	return waiting, others, true
}

// nodesOf returns the nodes that the attempt's members have reserved.
func (b *book) nodesOf(att *attempt) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Compact(slices.Sorted(maps.Values(att.reserved)))
}

// fail ends an attempt that is still gathering. It reports false if the
// attempt is open or failed already.
func (b *book) fail(att *attempt, reason string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if att.phase != gathering {
		return false
	}
	att.phase, att.reason = failed, reason
	return true
}

// holders returns the members of a failed attempt that have not given back yet.
func (b *book) holders(att *attempt) []types.UID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(att.reserved))
}

// clear takes a drained attempt off its gang. It returns the members to
// activate if the gang may be planned again at once.
func (b *book) clear(att *attempt, maxReplans int, now time.Time) []*v1.Pod {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[att.key]
	if rec == nil || rec.attempt != att {
		return nil
	}
	rec.attempt = nil
	b.tidy(rec)
	if !att.outdated {
		rec.replans++
	}
	if rec.replans > maxReplans {
		rec.deny(att.key.Messagef("%s", att.reason), now)
		return nil
	}
	return rec.pending()
}

// single takes one member out of an open attempt: the gang runs without it, and
// it may be planned again by itself. It says false if the attempt is not open.
func (b *book) single(att *attempt, uid types.UID, reason string, maxReplans int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[att.key]
	if rec == nil || att.phase != open {
		return false
	}
	delete(att.nodes, uid)
	b.tidy(rec)
	rec.replans++
	if rec.replans > maxReplans {
		rec.deny(att.key.Messagef("%s", reason), now)
	}
	return true
}

func (b *book) attempt(key gangs.Key) *attempt {
	if rec := b.records[key]; rec != nil {
		return rec.attempt
	}
	return nil
}
