// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// in expects pods to end after so many minutes, one of them by a prediction.
func in(now time.Time, minutes map[string]int, predicted string) gangs.Forecast {
	return gangs.Forecast{Now: now, Of: func(pod *v1.Pod) (string, time.Time, bool) {
		return pod.Name, now.Add(time.Duration(minutes[pod.Name]) * time.Minute), pod.Name == predicted
	}}
}

// The nodes to reserve must be those on which the gang can start first, and not those with the
// fewest pods.
func TestReserveByEnds(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		minutes   map[string]int
		predicted string
		refused   string
		want      gangs.Reservation
	}{
		"two short pods before a long one": {
			minutes: map[string]int{"short1": 10, "short2": 20, "long": 60},
			want:    gangs.Reservation{Nodes: map[string]bool{"l1-a": true, "l1-b": true}, Start: now.Add(20 * time.Minute)},
		},
		"one of them by a prediction": {
			minutes: map[string]int{"short1": 10, "short2": 20, "long": 60}, predicted: "short1",
			want: gangs.Reservation{Nodes: map[string]bool{"l1-a": true, "l1-b": true}, Start: now.Add(20 * time.Minute), Predicted: true},
		},
		"a prediction for other nodes": {
			minutes: map[string]int{"short1": 10, "short2": 20, "long": 60}, predicted: "long",
			want: gangs.Reservation{Nodes: map[string]bool{"l1-a": true, "l1-b": true}, Start: now.Add(20 * time.Minute)},
		},
		"a filter refuses a node": {
			minutes: map[string]int{"short1": 10, "short2": 20, "long": 60}, refused: "l1-b",
			want: gangs.Reservation{Nodes: map[string]bool{"l2-a": true, "l2-b": true}, Start: now.Add(60 * time.Minute)},
		},
		"no ends are known": {
			want: gangs.Reservation{Nodes: map[string]bool{"l1-a": true, "l1-b": true}},
		},
		"the other leaf is free sooner": {
			minutes: map[string]int{"short1": 70, "short2": 20, "long": 60},
			want:    gangs.Reservation{Nodes: map[string]bool{"l2-a": true, "l2-b": true}, Start: now.Add(60 * time.Minute)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, cpuPod("short1", "2", "l1-a"), cpuPod("short2", "2", "l1-b"), cpuPod("long", "4", "l2-a"))
			f.handle.refused[tc.refused] = true
			ends := gangs.Forecast{}
			if tc.minutes != nil {
				ends = in(now, tc.minutes, tc.predicted)
			}
			got, err := f.placer.Reserve(t.Context(), gangOf(2, 2), f.nodes, ends)
			if err != nil {
				t.Fatal(err)
			}
			if spare := got.Spare["l1-a"].Resources["pods"]; tc.want.Nodes["l1-a"] && !tc.want.Start.IsZero() && spare == 0 {
				t.Errorf("no pod may be placed beside the gang: %v", got.Spare)
			}
			got.Spare = nil
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("reservation (-want,+got):\n%s", diff)
			}
		})
	}
}

// A later gang must be placed on reserved nodes if it takes no more than is spare there.
func TestPlaceWithinSpare(t *testing.T) {
	for name, tc := range map[string]struct {
		cpu    int64
		placed bool
	}{
		"enough is spare": {4000, true}, "too little is spare": {1000, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, cpuPod("x", "4", "l1-a"), cpuPod("y", "4", "l1-b"))
			request := gangOf(2, 2)
			request.Holder = gangs.Key{Source: "podgroup", Namespace: "ml", Name: "large"}
			request.Reserved = map[string]bool{"l2-a": true, "l2-b": true}
			request.Spare = map[string]gangs.Capacity{}
			for node := range request.Reserved {
				request.Spare[node] = gangs.Capacity{Resources: map[string]int64{"cpu": tc.cpu, "pods": 10}}
			}
			got, err := f.placer.Place(t.Context(), request, f.nodes)
			if err != nil {
				t.Fatal(err)
			}
			if got.Placed != tc.placed || got.HeldBack == tc.placed {
				t.Errorf("placed %v, held back %v, want placed %v (%s)", got.Placed, got.HeldBack, tc.placed, got.Refusal)
			}
		})
	}
}
