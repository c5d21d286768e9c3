// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// evictingScene is a gang of two members for which pods are evicted.
type evictingScene struct {
	*simulation
	key     gangs.Key
	p, q    *v1.Pod
	victims []*v1.Pod
	gone    map[types.UID]bool
}

func newEvictingScene(t *testing.T) *evictingScene {
	s := &evictingScene{simulation: newSimulation(t, 0), gone: map[types.UID]bool{}}
	s.tracker.options.Preempts = true
	exists := s.tracker.options.Exists
	s.tracker.options.Exists = func(pod *v1.Pod) bool {
		if slices.ContainsFunc(s.victims, func(v *v1.Pod) bool { return v.UID == pod.UID }) {
			return !s.gone[pod.UID]
		}
		return exists(pod)
	}
	s.key, s.p, s.q = s.pair("p", "q")
	for _, name := range []string{"v", "w"} {
		victim := member("victims", name)
		victim.Spec.NodeName, victim.Spec.TerminationGracePeriodSeconds = "n-"+name, ptr.To[int64](30)
		s.victims = append(s.victims, victim)
	}
	return s
}

// room is the answer of a search that has found the victims.
func (s *evictingScene) room() Room {
	return Room{
		Searched: true, Found: true,
		Assignment: gangs.Assignment{
			Nodes: map[types.UID]string{s.p.UID: "n-v", s.q.UID: "n-w"}, Domain: "leaf l1",
			Needs: map[types.UID]gangs.Capacity{s.p.UID: {Resources: map[string]int64{"cpu": 1}}, s.q.UID: {Resources: map[string]int64{"cpu": 1}}},
		},
		Victims: []Victim{{Name: "gang job ml/b", Pods: s.victims, Devices: 16}},
	}
}

// plan plans the gang in the cycle of p and answers that it has no room.
func (s *evictingScene) plan(room Room) Step {
	s.t.Helper()
	step := s.tracker.NextStep(s.key, s.p.UID, s.p.Name, s.now)
	if step.Plan == nil {
		s.t.Fatalf("the gang is not planned: %q", step.Refusal)
	}
	answer := &Answer{Refusal: s.key.Messagef("no room"), Searched: true}
	if step.Plan.Room {
		answer.Room = room
	}
	return s.tracker.Resolve(step.Plan, answer, s.p.UID, s.now)
}

func (s *evictingScene) phase() clearingPhase { return s.tracker.gangs[s.key].clearing.phase }

// The victims are asked for, end, and the gang has their room, which is held for it until then.
func TestRoomIsMade(t *testing.T) {
	s := newEvictingScene(t)
	step := s.plan(s.room())
	if want := "gang ganglabel ml/g: evicting 2 pods of lower priority (job ml/b) in leaf l1 with 16 devices; it starts when they are gone"; !strings.HasSuffix(step.Refusal, want[strings.Index(want, ": ")+2:]) {
		t.Errorf("the gang says %q, want %q", step.Refusal, want)
	}
	if !step.Effects.Clear {
		t.Error("no evictions begin")
	}
	if n := len(s.tracker.Holds(0)); n != 2 {
		t.Errorf("%d places are held for the gang, want 2", n)
	}
	if n := len(s.tracker.Holds(1)); n != 0 {
		t.Errorf("%d places are held against a pod of higher priority, want none", n)
	}
	victims, first := s.tracker.ClearingVictims(s.key)
	if !first || len(victims) != 1 || !s.tracker.ClearingBegun(s.key, s.now) {
		t.Fatalf("first is %v, %d victims", first, len(victims))
	}
	// While they end, the gang is planned again and nobody else is evicted.
	s.gone[s.victims[0].UID] = true
	s.now = s.now.Add(10 * time.Second)
	step = s.plan(Room{})
	if !strings.Contains(step.Refusal, "waiting for 1 pod that is ending on 1 node; evicted for it: 2 pods of lower priority (job ml/b)") {
		t.Errorf("the gang says %q", step.Refusal)
	}
	if _, first := s.tracker.ClearingVictims(s.key); first || step.Effects.Clear {
		t.Error("the evictions begin a second time")
	}
	s.placesTheGang()
}

// placesTheGang lets the last victim end, and places the gang.
func (s *evictingScene) placesTheGang() {
	t := s.t
	s.gone[s.victims[1].UID] = true
	s.now = s.now.Add(time.Second)
	if effects := s.tracker.Tick(s.now); len(effects.Activate) != 1 {
		t.Errorf("%d members are activated when the victims are gone, want 1", len(effects.Activate))
	}
	step := s.tracker.NextStep(s.key, s.p.UID, s.p.Name, s.now)
	step = s.tracker.Resolve(step.Plan, &Answer{Placed: true, Assignment: gangs.Assignment{
		Nodes: map[types.UID]string{s.p.UID: "n-v", s.q.UID: "n-w"}, Short: map[string]int{"": 2},
		Roles: map[types.UID]gangs.RoleSignature{s.p.UID: {}, s.q.UID: {}},
	}}, s.p.UID, s.now)
	if step.Node != "n-v" || s.phase() != clearingLeaving {
		t.Errorf("the member goes to %q; the room is held in phase %v", step.Node, s.phase())
	}
	for _, pod := range []*v1.Pod{s.p, s.q} {
		s.tracker.Reserve(s.key, pod.UID, "n")
		if permit, attempt := s.tracker.Permit(s.key, pod.UID); permit == PermitComplete {
			s.tracker.Open(attempt)
		}
	}
	if s.phase() != noClearing {
		t.Errorf("the room is still held in phase %v", s.phase())
	}
}

// A refusal of the API server before any eviction hurts nobody and ends the attempt.
func TestRefusedEvictionHurtsNobody(t *testing.T) {
	s := newEvictingScene(t)
	s.plan(s.room())
	effects := s.tracker.ClearingRefused(s.key, "a PodDisruptionBudget does not allow it yet for pod ml/v", s.now)
	if again := s.tracker.gangs[s.key].clearing.again; !effects.Report || again.IsZero() || len(s.tracker.Holds(0)) != 0 {
		t.Errorf("retry at %v, %d places held", again, len(s.tracker.Holds(0)))
	}
	if s.tracker.ClearingBegun(s.key, s.now) {
		t.Error("the evictions begin after the refusal")
	}
	if got := s.tracker.Status(s.key).Sentence; !strings.Contains(got, "pods of lower priority are not evicted: a PodDisruptionBudget does not allow it yet for pod ml/v") {
		t.Errorf("the gang says %q", got)
	}
}

// Victims that never end are given up, and the gang evicts nobody for a time, and never them.
func TestVictimThatNeverEnds(t *testing.T) {
	s := newEvictingScene(t)
	s.plan(s.room())
	s.tracker.ClearingBegun(s.key, s.now)
	s.now = s.now.Add(30*time.Second + leaveLimit)
	if s.tracker.Tick(s.now); s.phase() != clearingLeaving {
		t.Fatalf("the victims are given up too early")
	}
	s.now = s.now.Add(2 * time.Second)
	if s.tracker.Tick(s.now); s.phase() != noClearing {
		t.Errorf("the room is still held: phase %v", s.phase())
	}
	if why := s.tracker.Spared(s.key, "gang job ml/b"); why == "" {
		t.Error("the same victims may be chosen again")
	}
	if step := s.plan(s.room()); s.phase() != noClearing {
		t.Errorf("pods are evicted again at once: %q", step.Refusal)
	}
	s.now = s.now.Add(firstClearPause)
	if s.plan(s.room()); s.phase() != clearingChosen {
		t.Error("pods are not evicted after the pause")
	}
}

// Room that was made and that the gang does not get within a minute is given up.
func TestEvictionInVain(t *testing.T) {
	s := newEvictingScene(t)
	s.plan(s.room())
	s.tracker.ClearingBegun(s.key, s.now)
	for _, victim := range s.victims {
		s.gone[victim.UID] = true
	}
	s.tracker.Tick(s.now)
	s.now = s.now.Add(placeWithin)
	if s.tracker.Tick(s.now); s.phase() != clearingLeaving {
		t.Error("the room is given up too early: controllers need time to free devices")
	}
	s.now = s.now.Add(time.Second)
	if s.tracker.Tick(s.now); s.phase() != noClearing {
		t.Errorf("the room is held in phase %v", s.phase())
	}
}

// Pods that are leaving already are awaited, nobody is evicted, and it is no failure if they did
// not suffice.
func TestLeavingPodsAreAwaited(t *testing.T) {
	s := newEvictingScene(t)
	room := s.room()
	room.Victims, room.Awaited = nil, s.victims
	step := s.plan(room)
	if want := "waiting for 2 pods that are ending on 2 nodes"; !strings.HasSuffix(step.Refusal, want) {
		t.Errorf("the gang says %q, want %q", step.Refusal, want)
	}
	for _, victim := range s.victims {
		s.gone[victim.UID] = true
	}
	s.tracker.Tick(s.now)
	s.now = s.now.Add(placeWithin + time.Second)
	s.tracker.Tick(s.now)
	if s.plan(s.room()); s.phase() != clearingChosen {
		t.Errorf("the gang may evict nobody: phase %v", s.phase())
	}
}

// Who asks for no eviction.
func TestWhoEvictsNobody(t *testing.T) {
	tests := map[string]func(s *evictingScene){
		"preemption is off": func(s *evictingScene) { s.tracker.options.Preempts = false },
		"a member never preempts": func(s *evictingScene) {
			s.change(s.p, func(p *v1.Pod) { p.Spec.PreemptionPolicy = ptr.To(v1.PreemptNever) })
		},
		"preemptAfter has not passed": func(s *evictingScene) { s.tracker.options.PreemptAfter = time.Minute },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			s := newEvictingScene(t)
			prepare(s)
			step := s.plan(s.room())
			if s.phase() != noClearing || step.Effects.Clear {
				t.Errorf("phase %v: %q", s.phase(), step.Refusal)
			}
			if wait := s.tracker.gangs[s.key].clearing.again.Sub(s.now); (wait == time.Minute) != (name == "preemptAfter has not passed") {
				t.Errorf("the gang is planned again after %v", wait)
			}
		})
	}
}

// After a no, the next search comes no sooner than the last one's cost allows.
func TestSearchesPause(t *testing.T) {
	s := newEvictingScene(t)
	no := Room{Searched: true, Refusal: "no room even without all 2 pods of lower priority", Took: time.Second, MayChange: true}
	step := s.plan(no)
	if !strings.HasSuffix(step.Refusal, "; no room even without all 2 pods of lower priority") || !s.tracker.gangs[s.key].clearing.again.Equal(s.now.Add(searchShare*time.Second)) {
		t.Errorf("the gang says %q and retries at %v", step.Refusal, s.tracker.gangs[s.key].clearing.again)
	}
	var searches []bool
	for range 4 {
		s.now = s.now.Add(8 * time.Second)
		step := s.tracker.NextStep(s.key, s.p.UID, s.p.Name, s.now)
		searches = append(searches, step.Plan.Room)
		s.tracker.Resolve(step.Plan, &Answer{Refusal: "no room", Searched: true, Room: no}, s.p.UID, s.now)
	}
	if diff := cmp.Diff([]bool{false, false, true, false}, searches); diff != "" {
		t.Errorf("searches every 8 s (-want,+got):\n%s", diff)
	}
}

// Other gangs may have been refused because of room that was held. They are planned again when
// the room is not used: a refusal of the API server, and the deletion of the gang, are no events
// for them.
func TestRoomThatIsGivenHelpsOthers(t *testing.T) {
	ends := map[string]func(s *evictingScene){
		"the API server refuses": func(s *evictingScene) { s.tracker.ClearingRefused(s.key, "a budget", s.now) },
		"the gang is deleted": func(s *evictingScene) {
			for _, pod := range []*v1.Pod{s.p, s.q} {
				s.tracker.Erase(pod, s.now)
			}
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := newEvictingScene(t)
			other := member("other", "o")
			key := s.groups.declare("other", 1)
			s.tracker.Upsert(other, s.now)
			s.plan(s.room())
			s.refuse(key, "no room", other.UID)
			if effects := s.tracker.Tick(s.now); len(effects.Activate) > 0 {
				t.Errorf("%v are activated while the room is held", podNames(effects.Activate))
			}
			end(s)
			effects := s.tracker.Tick(s.now)
			if !slices.ContainsFunc(effects.Activate, func(pod *v1.Pod) bool { return pod.UID == other.UID }) || !effects.ActivatePodGroups {
				t.Errorf("%v are activated, PodGroups: %v", podNames(effects.Activate), effects.ActivatePodGroups)
			}
		})
	}
}

// After evictions in vain, the gang is planned again when it may evict pods again.
func TestPauseAfterVainEvictionsEnds(t *testing.T) {
	s := newEvictingScene(t)
	s.plan(s.room())
	s.tracker.ClearingBegun(s.key, s.now)
	for _, victim := range s.victims {
		s.gone[victim.UID] = true
	}
	s.tracker.Tick(s.now)
	s.now = s.now.Add(placeWithin + time.Second)
	s.tracker.Tick(s.now)
	s.plan(s.room()) // no room, and nobody may be evicted yet
	s.now = s.now.Add(firstClearPause - time.Second)
	if effects := s.tracker.Tick(s.now); len(effects.Activate) > 0 {
		t.Errorf("%v are activated before the pause ends", podNames(effects.Activate))
	}
	s.now = s.now.Add(time.Second)
	if effects := s.tracker.Tick(s.now); len(effects.Activate) != 1 {
		t.Errorf("%d members are activated when the pause ends, want 1", len(effects.Activate))
	}
}

// A replacement of an evicted member does not join the members of its gang that still exist: the
// gang would run below its minimum when they end. It waits for its whole gang.
func TestReplacementWaitsForItsGang(t *testing.T) {
	s := newEvictingScene(t)
	key := s.groups.declare("victims", 2)
	for _, victim := range s.victims {
		s.tracker.Upsert(victim, s.now)
	}
	room := s.room()
	room.Victims[0].Name = gangUnit(key)
	s.plan(room)
	s.tracker.ClearingBegun(s.key, s.now)
	s.gone[s.victims[0].UID] = true
	s.tracker.Erase(s.victims[0], s.now)
	again := member("victims", "again")
	s.tracker.Upsert(again, s.now)
	step := s.tracker.NextStep(key, again.UID, again.Name, s.now)
	if want := "evicted for gang " + s.key.String() + ", which has a higher priority; it is placed again when all its members are gone"; step.Plan != nil || !strings.HasSuffix(step.Refusal, want) {
		t.Errorf("the replacement is planned (%v) or refused with %q, want %q", step.Plan != nil, step.Refusal, want)
	}
	s.gone[s.victims[1].UID] = true
	s.tracker.Erase(s.victims[1], s.now)
	step = s.tracker.NextStep(key, again.UID, again.Name, s.now.Add(time.Second))
	if step.Plan != nil || strings.Contains(step.Refusal, "evicted for") {
		t.Errorf("a gang with one of two members is planned (%v) or refused with %q", step.Plan != nil, step.Refusal)
	}
}
