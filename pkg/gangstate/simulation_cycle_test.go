// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// cycle runs a pod's scheduling cycle. accepted is true if the filters accept its node.
func (s *simulation) cycle(pod *v1.Pod, accepted bool) {
	s.at[pod.UID] = idle
	if !gangs.Ready(pod) || s.claimless[pod.UID] {
		return
	}
	key := s.key(pod)
	step := s.tracker.NextStep(key, pod.UID, pod.Name, s.now)
	if step.Plan != nil {
		step = s.resolve(step.Plan, pod.UID)
	}
	if step.Effects.Release != nil {
		s.t.Fatal("no cycle of this test ends in an error, and no member leaves during one")
	}
	s.apply(step.Effects)
	if step.Node == "" {
		return
	}
	if !accepted || s.free() == 0 {
		s.apply(s.tracker.FilterRefused(key, pod, step.Node, "a filter refused", s.now))
		return
	}
	s.permit(pod, step.Node)
}

func (s *simulation) permit(pod *v1.Pod, node string) {
	s.room--
	s.mayReserve(pod)
	s.apply(s.tracker.Reserve(s.key(pod), pod.UID, node))
	permit, attempt := s.tracker.Permit(s.key(pod), pod.UID)
	switch permit {
	case PermitWait:
		s.at[pod.UID] = waiting
	case PermitAllow:
		s.at[pod.UID] = binding
	case PermitReject:
		s.unreserve(pod)
	case PermitComplete:
		s.mayOpen(attempt)
		effects, ok := s.tracker.Open(attempt)
		if !ok {
			s.t.Fatal("Open refused a complete quorum")
		}
		s.apply(effects)
	}
}

// mayOpen is the oracle of Permit: the quorum exists, by an independent count. For a gang
// that runs and lost members, the members in the plan are enough.
func (s *simulation) mayOpen(attempt *Attempt) {
	placed, running := 0, 0
	for _, pod := range s.store {
		if s.key(pod) == attempt.Key && gangs.Live(pod) && gangs.Placed(pod) {
			placed++
			if !isDone(pod) {
				running++
			}
		}
	}
	known := 0 // the quorum does not wait for late members
	for uid := range attempt.plan.Roles {
		if pod := s.store[uid]; pod != nil && !gangs.Placed(pod) {
			known++
		}
	}
	have := placed + len(attempt.reserved) + len(attempt.unknown)
	want := int(s.groups[attempt.Key.Name].Spec.MinMember)
	if running > 0 {
		want = min(want, placed+known)
	}
	if have < want {
		s.t.Fatalf("Permit of %s opens for %d of %d: %d placed, %d running, %d known, reserved %v, unknown %v, lost %v, plan %+v, members %d", attempt.Key, have, want, placed, running, known, attempt.reserved, attempt.unknown, s.lost, attempt.plan, len(s.tracker.gangs[attempt.Key].members))
	}
}

// mayReserve is the oracle of a plan's order: the planned members before this one have
// reserved, or are no longer in the plan.
func (s *simulation) mayReserve(pod *v1.Pod) {
	attempt := s.tracker.gangs[s.key(pod)].attempt
	for uid, number := range attempt.plan.Order {
		if number < attempt.plan.Order[pod.UID] && s.store[uid] != nil && attempt.plan.Nodes[uid] != "" && attempt.reserved[uid] == "" {
			s.t.Fatalf("%s reserves before %s", pod.Name, uid)
		}
	}
}

// plan plans a gang outside any member's cycle and applies the answer.
func (s *simulation) plan(key gangs.Key) {
	if step := s.tracker.Ask(key, s.now); step.Plan != nil {
		s.apply(s.resolve(step.Plan, "").Effects)
	}
}

// resolve answers a question by counting: the quorum must fit, and the rest may.
func (s *simulation) resolve(question *Question, asks types.UID) Step {
	request, answer := &question.Request, Answer{Searched: true, Refusal: "no room", FitsElsewhere: true}
	plan := gangs.Assignment{Nodes: map[types.UID]string{}, Roles: map[types.UID]gangs.RoleSignature{}, Short: map[string]int{}}
	least := request.Gang.Min
	for _, n := range request.Done {
		least -= n
	}
	missing := max(0, min(least, len(request.Members))-len(request.Placed))
	left := max(0, s.room-len(request.Holds))
	for _, m := range request.Members {
		if request.Placed[m.Pod.UID] != "" {
			continue
		}
		plan.Roles[m.Pod.UID] = gangs.RoleSignature{Role: "worker"}
		if left > 0 {
			plan.Nodes[m.Pod.UID] = "node"
			left--
		}
	}
	plan.Short["worker"] = missing
	if s.ordered {
		plan.Order = s.anyOrder(plan.Nodes)
	}
	if len(plan.Nodes) >= missing && (len(plan.Nodes) > 0 || len(plan.Roles) == 0) {
		answer.Placed, answer.Assignment = true, plan
		if len(plan.Nodes) < len(plan.Roles) {
			answer.Surplus = "no room for all"
		}
	}
	return s.tracker.Resolve(question, &answer, asks, s.now)
}

// anyOrder numbers the planned members at random.
func (s *simulation) anyOrder(nodes map[types.UID]string) map[types.UID]int {
	uids, order := slices.Sorted(maps.Keys(nodes)), map[types.UID]int{}
	for i, k := range s.rnd.Perm(len(uids)) {
		order[uids[k]] = i + 1
	}
	return order
}

// free is the room without that of pods that are bound though nobody knows.
func (s *simulation) free() int {
	free := s.room
	for _, done := range s.lost {
		if done {
			free--
		}
	}
	return max(0, free)
}

// bind ends the binding of a pod, with success if well is true. Otherwise the binding is
// refused, or its answer is lost.
func (s *simulation) bind(pod *v1.Pod, well bool) {
	if well {
		s.at[pod.UID] = bound
		s.update(placedOn(pod, "node"))
		return
	}
	answered := s.rnd.IntN(3) == 0
	s.tracker.BindFailed(s.key(pod), pod, "node", "because", !answered)
	if !answered {
		s.lost[pod.UID] = s.rnd.IntN(2) == 0
	}
	s.unreserve(pod)
}

// learn shows what became of a binding without an answer.
func (s *simulation) learn() {
	pod := s.pick(func(p *v1.Pod) bool { _, lost := s.lost[p.UID]; return lost })
	if pod == nil {
		return
	}
	done := s.lost[pod.UID]
	delete(s.lost, pod.UID)
	if !done {
		s.apply(s.tracker.NotBound(s.key(pod), pod, s.now))
		return
	}
	if s.room--; s.room < 0 {
		s.t.Fatalf("the room of %s, which is bound, was given to another", pod.Name)
	}
	s.at[pod.UID] = bound
	s.update(placedOn(pod, "node"))
}

// claim deletes the claim of a pod, or makes it again.
func (s *simulation) claim(pod *v1.Pod) {
	if s.claimless[pod.UID] = !s.claimless[pod.UID]; !s.claimless[pod.UID] {
		delete(s.claimless, pod.UID)
	}
	s.apply(s.tracker.LacksChanged(pod, s.now))
	s.activate([]*v1.Pod{pod})
}

// silence makes another plugin keep a pod out of the queue, or let it in.
func (s *simulation) silence(pod *v1.Pod) {
	if s.mute[pod.UID] = !s.mute[pod.UID]; !s.mute[pod.UID] {
		delete(s.mute, pod.UID)
		s.activate([]*v1.Pod{pod})
	}
}

// event is a change of the cluster that may help. The queue evaluates the hint of every
// refused pod.
func (s *simulation) event() {
	for _, uid := range slices.Sorted(maps.Keys(s.store)) {
		pod := s.store[uid]
		if s.at[uid] != idle || !gangs.Ready(pod) || s.claimless[uid] || s.mute[uid] {
			continue
		}
		if retries, _ := s.tracker.AllowRetry(s.key(pod), pod, s.now); retries {
			s.activate([]*v1.Pod{pod})
		}
	}
}

// pass advances the time. Backoffs may end meanwhile.
func (s *simulation) pass(d time.Duration) {
	for ; d > 0; d -= time.Second {
		s.now = s.now.Add(min(d, time.Second))
		s.tick()
	}
}

// tick is what happens every second.
func (s *simulation) tick() {
	for _, key := range slices.SortedFunc(maps.Keys(s.tracker.gangs), gangs.CompareKeys) {
		s.apply(s.tracker.Retry(key, s.now))
	}
	stalled := s.tracker.EndStalled(s.now)
	slices.SortFunc(stalled, func(a, b Effects) int { return gangs.CompareKeys(a.Key, b.Key) })
	for _, effects := range stalled {
		s.apply(effects)
	}
	evictions := s.tracker.Evictions(s.now)
	for _, key := range slices.SortedFunc(maps.Keys(evictions), gangs.CompareKeys) {
		for _, pod := range evictions[key] {
			s.remove(pod)
		}
	}
	effects := s.tracker.Tick(s.now)
	slices.SortFunc(effects.Activate, func(a, b *v1.Pod) int { return slices.Compare([]byte(a.UID), []byte(b.UID)) })
	s.apply(effects)
}

// settle completes everything in progress, with every filter accepting.
func (s *simulation) settle() {
	for range 10000 {
		if pod := s.pick(s.is(binding)); pod != nil {
			s.bind(pod, true)
			continue
		}
		if len(s.lost) > 0 {
			s.learn()
			continue
		}
		if len(s.releasing) > 0 {
			s.release()
			continue
		}
		pod := s.pick(s.is(active))
		if pod == nil {
			return
		}
		s.cycle(pod, true)
	}
	s.t.Fatal("the queue never comes to rest")
}
