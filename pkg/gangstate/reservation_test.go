// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// After a reservation has ended by its limit, no nodes are reserved for a gang of the same
// namespace for as long. A reservation of more than half of the nodes ends sooner.
func TestReservationsAreBounded(t *testing.T) {
	for _, tc := range []struct {
		reserved map[string]bool
		limit    time.Duration
	}{
		{map[string]bool{"n1": true}, reservationLimit},
		{map[string]bool{"n1": true, "n2": true, "n3": true}, largeReservationLimit},
	} {
		s := newSimulation(t, 0)
		s.tracker.options.MaxBypass = time.Minute
		key, other := s.groups.declare("a", 1), s.groups.declare("b", 1)
		for _, name := range []string{"a", "b"} {
			s.tracker.Upsert(member(name, name+"-p"), s.now)
		}
		for _, k := range []gangs.Key{key, other} { // both have been bypassed for long
			s.tracker.gangs[k].reservation = Reservation{blocked: true, bypassed: s.now.Add(-time.Hour)}
		}
		reserve := func(k gangs.Key) (asked bool) {
			step := s.tracker.Ask(k, s.now)
			answer := &Answer{Searched: true, Refusal: "no room", Nodes: 4}
			if step.Plan.Reserve {
				answer.Reserve.Nodes = tc.reserved
			}
			s.tracker.Resolve(step.Plan, answer, "", s.now)
			return step.Plan.Reserve
		}
		if !reserve(key) {
			t.Fatal("no nodes are reserved for a gang that has been bypassed")
		}
		if reserve(other) {
			t.Error("nodes are reserved for two gangs of one namespace")
		}
		s.now = s.now.Add(tc.limit)
		if s.tracker.Tick(s.now); s.tracker.reserving() == nil {
			t.Fatal("the reservation ends before its limit")
		}
		s.now = s.now.Add(time.Second)
		if s.tracker.Tick(s.now); s.tracker.reserving() != nil {
			t.Fatal("the reservation outlasts its limit")
		}
		if reserve(other) {
			t.Error("nodes are reserved for the next gang of the namespace at once")
		}
		s.now = s.now.Add(tc.limit + time.Second)
		if s.tracker.Tick(s.now); !reserve(other) {
			t.Error("no nodes are ever reserved for the next gang of the namespace")
		}
	}
}
