// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// reservedFor returns a simulation in which nodes n1 and n2 are reserved for gang "large", which
// is expected to start after left, and in which gangs of one pod ran for the given times.
func reservedFor(t *testing.T, left time.Duration, ran ...time.Duration) *simulation {
	s := newSimulation(t, 0)
	s.tracker.options.MaxBypass, s.tracker.options.Backfill = time.Hour, true
	s.groups.declare("large", 1)
	large := member("large", "large-0")
	s.tracker.Upsert(large, s.now)
	g := s.tracker.gangs[s.key(large)]
	g.quorumReady = true
	g.reservation = Reservation{blocked: true, bypassed: s.now.Add(-time.Hour)}
	effects := Effects{}
	s.tracker.reserve(g, &Answer{Nodes: 9, Reserve: gangs.Reservation{
		Nodes: map[string]bool{"n1": true, "n2": true}, Start: s.now.Add(left),
		Spare: map[string]gangs.Capacity{"n1": {
			Resources: map[string]int64{"cpu": 4000, "pods": 3},
			Devices:   []gangs.HeldDevices{{Count: 2, Kinds: []string{"a"}}, {Count: 3, Kinds: []string{"b"}}},
		}},
	}}, s.now, &effects)
	for _, d := range ran {
		s.tracker.runTimes.add(sizeClass(1), d)
	}
	return s
}

// later returns the question for a later gang of one pod with that time limit, "" for none.
func (s *simulation) later(limit string) *Question {
	s.groups.declare("later", 1)
	pod := member("later", "later-0")
	pod.CreationTimestamp = metav1.NewTime(s.now.Add(time.Minute))
	if limit != "" {
		pod.Annotations = map[string]string{gangs.TimeLimitAnnotation: limit}
	}
	s.tracker.Upsert(pod, s.now)
	step := s.tracker.Ask(s.key(pod), s.now)
	if step.Plan == nil {
		s.t.Fatal(step.Refusal)
	}
	return step.Plan
}

// tenTimes returns run times of which 3/4 are at most d.
func tenTimes(d time.Duration) []time.Duration {
	var all []time.Duration
	for range 8 {
		all = append(all, d)
	}
	return append(all, 10*d, 10*d)
}

// A later gang may use reserved nodes if its limit or, without a short limit, a prediction ends
// it early enough. Once predictions have delayed the gang for too long, only limits count.
func TestWhoMayUseReservedNodes(t *testing.T) {
	for name, tc := range map[string]struct {
		limit  string
		ran    []time.Duration
		strict bool
		want   gangs.Backfill
	}{
		"a limit that ends it in time":              {limit: "30m", want: gangs.ByLimit},
		"a limit that ends it too late":             {limit: "31m", want: gangs.BySpare},
		"a limit too late, though others end early": {limit: "31m", ran: tenTimes(time.Minute), want: gangs.BySpare},
		"a prediction in time":                      {ran: tenTimes(30 * time.Minute), want: gangs.ByPrediction},
		"a prediction too late":                     {ran: tenTimes(31 * time.Minute), want: gangs.BySpare},
		"too few run times for a prediction":        {ran: tenTimes(time.Minute)[:9], want: gangs.BySpare},
		"a limit too long to mean anything":         {limit: "4h", ran: tenTimes(time.Minute), want: gangs.ByPrediction},
		"strict, a prediction":                      {ran: tenTimes(time.Minute), strict: true, want: gangs.BySpare},
		"strict, a limit":                           {limit: "30m", strict: true, want: gangs.ByLimit},
	} {
		t.Run(name, func(t *testing.T) {
			s := reservedFor(t, 30*time.Minute, tc.ran...)
			if tc.strict {
				s.tracker.reserving().reservation.bypassed = s.now.Add(-2 * time.Hour)
			}
			question := s.later(tc.limit)
			if question.Backfill != tc.want || (question.Reserved == nil) != (tc.want != gangs.BySpare) {
				t.Errorf("backfill by %q against %v, want by %q", question.Backfill, question.Reserved, tc.want)
			}
			pod := member("none", "none-0")
			pod.CreationTimestamp = metav1.NewTime(s.now.Add(time.Minute))
			pod.Annotations = map[string]string{gangs.TimeLimitAnnotation: tc.limit}
			if tc.limit == "" {
				pod.Annotations = nil
			}
			if avoids := s.tracker.AvoidReserved(pod, s.now) != nil; avoids != (tc.want == gangs.BySpare) {
				t.Errorf("a pod without a gang must avoid the nodes: %v", avoids)
			}
		})
	}
}

// What a gang takes within the spare amounts is not offered to the next one.
func TestSpareIsUsedUp(t *testing.T) {
	s := reservedFor(t, 30*time.Minute)
	question := s.later("")
	uid := question.Members[0].Pod.UID
	plan := gangs.Assignment{
		Nodes: map[types.UID]string{uid: "n1"}, Roles: map[types.UID]gangs.RoleSignature{uid: {}}, Short: map[string]int{},
		Needs: map[types.UID]gangs.Capacity{uid: {
			Resources: map[string]int64{"cpu": 3000, "pods": 1}, Devices: []gangs.HeldDevices{{Count: 3, Kinds: []string{"a", "b"}}},
		}},
	}
	s.tracker.Resolve(question, &Answer{Placed: true, Searched: true, Assignment: plan}, uid, s.now)
	want := map[string]gangs.Capacity{"n1": {
		Resources: map[string]int64{"cpu": 1000, "pods": 2},
		Devices:   []gangs.HeldDevices{{Count: 0, Kinds: []string{"a"}}, {Count: 2, Kinds: []string{"b"}}},
	}}
	if diff := cmp.Diff(want, s.tracker.reserving().reservation.forecast.spare); diff != "" {
		t.Errorf("spare (-want,+got):\n%s", diff)
	}
	outcomes := s.tracker.Outcomes(s.now)
	if diff := cmp.Diff(ReservationOutcomes{Backfilled: []gangs.Backfill{gangs.BySpare}, State: OpenReservation}, outcomes); diff != "" {
		t.Errorf("outcomes (-want,+got):\n%s", diff)
	}
}

// The nodes are chosen anew after a gang has ended or the expected start has passed, every 30
// seconds at most, and no more once the gang has been bypassed for three times maxBypass.
func TestReservedNodesAreChosenAnew(t *testing.T) {
	s := reservedFor(t, 30*time.Minute)
	holder := s.tracker.reserving()
	holder.reservation.searched = s.now
	due := func(after time.Duration) bool { return s.tracker.forecastDue(holder, s.now.Add(after)) }
	if due(time.Minute) || !due(30*time.Minute) {
		t.Errorf("due after a minute: %v, want false; at the expected start: %v, want true", due(time.Minute), due(30*time.Minute))
	}
	s.tracker.noteEnded()
	if due(29*time.Second) || !due(30*time.Second) {
		t.Errorf("a gang has ended. Due after 29 s: %v, want false; after 30 s: %v, want true", due(29*time.Second), due(30*time.Second))
	}
	if due(2*time.Hour) || !due(2*time.Hour-time.Second) {
		t.Errorf("after three hours of bypassing it is due: %v, want false", due(2*time.Hour))
	}
	later := member("later", "later-0")
	later.CreationTimestamp = metav1.NewTime(s.now.Add(time.Minute))
	s.store[later.UID] = later
	s.tracker.AvoidReserved(later, s.now)
	effects := Effects{}
	s.tracker.reserve(holder, &Answer{Nodes: 9, Reserve: gangs.Reservation{Nodes: map[string]bool{"n2": true}, Start: s.now.Add(91 * time.Minute)}}, s.now, &effects)
	if diff := cmp.Diff([]string{"later-0"}, podNames(effects.Activate)); diff != "" || effects.Reserved != 0 {
		t.Errorf("node n1 is reserved no more; activated (-want,+got):\n%s", diff)
	}
	if state := s.tracker.Outcomes(s.now).State; state != StrictReservation {
		t.Errorf("the start is an hour later than at first, and the reservation is %s", state)
	}
}

// Predictions follow the run times of ended gangs of the same size, the last 200.
func TestRunTimes(t *testing.T) {
	r := &recentRunTimes{}
	for i := range 300 {
		r.add(time.Duration(i) * time.Second)
	}
	times := runTimes{sizeClass(1): r}
	if got, want := times.predict(sizeClass(1)), 250*time.Second; got != want {
		t.Errorf("prediction of run times from 100 to 299 s: %v, want %v", got, want)
	}
	if got := times.predict(sizeClass(2)); got != 0 {
		t.Errorf("prediction for another size: %v, want none", got)
	}
	for running, want := range map[time.Duration]time.Duration{
		0: 250 * time.Second, 199 * time.Second: 76 * time.Second, 296 * time.Second: 296 * time.Second,
	} {
		if got := r.remaining(running); got != want {
			t.Errorf("after %v it is predicted to run for %v, want %v", running, got, want)
		}
	}
}

// A gang's run time is known when its last pod ends.
func TestRunTimeOfAGang(t *testing.T) {
	s := newSimulation(t, 0)
	s.groups.declare("a", 2)
	var pods []*v1.Pod
	for i := range 2 {
		pod := placedOn(member("a", fmt.Sprintf("a-%d", i)), "n")
		pod.Status.StartTime = &metav1.Time{Time: s.now.Add(-time.Duration(i) * time.Minute)}
		s.tracker.Upsert(pod, s.now)
		pods = append(pods, pod)
	}
	if _, at, predicted := s.tracker.forecast(s.now).Of(pods[0]); !at.Equal(s.now.Add(time.Minute)) || !predicted {
		t.Errorf("it is expected to end at %v (predicted: %v), want in a minute, by a prediction", at, predicted)
	}
	s.tracker.Erase(pods[0], s.now.Add(time.Minute))
	if len(s.tracker.runTimes) > 0 {
		t.Error("its run time is recorded while a pod runs")
	}
	s.tracker.Erase(pods[1], s.now.Add(9*time.Minute))
	if diff := cmp.Diff([]time.Duration{10 * time.Minute}, s.tracker.runTimes[sizeClass(2)].sorted); diff != "" {
		t.Errorf("run times (-want,+got):\n%s", diff)
	}
}
