// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// cycle gives a pod its scheduling cycle; luck says whether a filter takes it.
func (w *world) cycle(pod *v1.Pod, luck bool) {
	w.at[pod.UID] = idle
	if !gangs.Ready(pod) {
		return
	}
	key := w.key(pod)
	node, refusal, ended := w.book.turn(key, pod.UID)
	if ended != nil {
		w.t.Fatal("no cycle of this test ends in an error")
	}
	if node == "" && refusal == "" {
		if _, refused := w.book.refusal(key, pod.UID, w.now); !refused {
			w.plan(key, pod.UID)
		}
		node, _ = w.book.planned(key, pod.UID)
	}
	if node == "" {
		return
	}
	if !luck || w.room == 0 {
		w.refuse(pod, node)
		return
	}
	w.permit(pod, node)
}

func (w *world) refuse(pod *v1.Pod, node string) {
	_, att := w.book.planned(w.key(pod), pod.UID)
	w.book.learn(att, pod.UID, node)
	if w.book.single(att, pod.UID, "a filter says no", 2, w.now) {
		w.activate([]*v1.Pod{pod})
		return
	}
	w.giveUp(att)
}

func (w *world) permit(pod *v1.Pod, node string) {
	w.room--
	w.book.reserve(w.key(pod), pod.UID, node)
	what, att := w.book.arrive(w.key(pod), pod.UID)
	switch what {
	case hold:
		w.at[pod.UID] = waiting
	case pass:
		w.at[pod.UID] = binding
	case turns:
		w.unreserve(pod)
	case last:
		w.mayOpen(att)
		pods, others, ok := w.book.openGate(att)
		if !ok {
			w.t.Fatal("the gate did not open for a quorum")
		}
		for _, uid := range pods {
			w.at[uid] = binding
		}
		w.activate(others)
	}
}

// mayOpen is the oracle of the gate: a quorum is there, counted from outside. Of
// a gang that runs and lost members, those that the plan found are enough.
func (w *world) mayOpen(att *attempt) {
	placed, runs := 0, 0
	for _, pod := range w.store {
		if w.key(pod) == att.key && gangs.Live(pod) && gangs.Placed(pod) {
			placed++
			if !done(pod) {
				runs++
			}
		}
	}
	known := 0 // late members are not waited for
	for uid := range att.roles {
		if pod := w.store[uid]; pod != nil && !gangs.Placed(pod) {
			known++
		}
	}
	have := placed + len(att.reserved)
	want := int(w.groups[att.key.Name].Spec.MinMember)
	if runs > 0 {
		want = min(want, placed+known)
	}
	if have < want {
		w.t.Fatalf("the gate of %s opens for %d of %d", att.key, have, want)
	}
}

// plan is a planner that counts: the quorum must fit, and the rest may.
func (w *world) plan(key gangs.Key, asks types.UID) {
	req, refusal := w.book.request(key)
	if refusal != "" {
		w.book.refuse(key, refusal, asks, w.now)
		return
	}
	att := &attempt{
		key: key, gang: req.gang, nodes: map[types.UID]string{}, roles: map[types.UID]string{},
		reserved: map[types.UID]string{}, short: map[string]int{},
	}
	least := req.gang.Min
	for _, n := range req.done {
		least -= n
	}
	missing := max(0, min(least, len(req.members))-len(req.placed))
	left := w.room
	for _, m := range req.members {
		if req.placed[m.Pod.UID] != "" {
			continue
		}
		att.roles[m.Pod.UID] = "one"
		if left > 0 {
			att.nodes[m.Pod.UID] = "node"
			left--
		}
	}
	if len(att.nodes) < missing || len(att.nodes) == 0 && len(att.roles) > 0 {
		w.book.refuse(key, "no room", asks, w.now)
		return
	}
	att.short["one"] = missing
	others, whole := w.book.begin(att)
	if !whole {
		w.t.Fatalf("a member of %v left while nobody did anything", key)
	}
	if len(att.nodes) < len(att.roles) {
		w.book.refuse(key, "no room for all", asks, w.now)
	}
	w.activate(others)
}

// bind ends the binding of a pod, well or not.
func (w *world) bind(pod *v1.Pod, well bool) {
	if !well {
		w.unreserve(pod)
		return
	}
	w.at[pod.UID] = bound
	w.seen(on1(pod, "node"))
}

// event is a change of the cluster that may help: the queue asks every pod that
// was refused.
func (w *world) event() {
	for _, uid := range slices.Sorted(maps.Keys(w.store)) {
		pod := w.store[uid]
		if w.at[uid] != idle || !gangs.Ready(pod) {
			continue
		}
		if asks, _ := w.book.forgive(w.key(pod), pod, w.now); asks {
			w.activate([]*v1.Pod{pod})
		}
	}
}

// pass lets time go by, in which gangs end backing off.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	for _, key := range slices.SortedFunc(maps.Keys(w.book.records), compareKeys) {
		w.activate(w.book.retry(key, w.now))
	}
}

// settle lets everything happen that is under way, without bad luck.
func (w *world) settle() {
	for range 10000 {
		if pod := w.pick(w.is(binding)); pod != nil {
			w.bind(pod, true)
			continue
		}
		if len(w.drains) > 0 {
			w.drain()
			continue
		}
		pod := w.pick(w.is(active))
		if pod == nil {
			return
		}
		w.cycle(pod, true)
	}
	w.t.Fatal("the queue never comes to rest")
}
