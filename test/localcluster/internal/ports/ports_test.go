// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"net"
	"slices"
	"testing"
)

func TestTwoReservationsShareNoPort(t *testing.T) {
	const each = 200
	results := make(chan []int)
	for range 2 {
		var reservation Reservation
		t.Cleanup(func() { release(t, &reservation) })
		go func() {
			taken, err := reservation.Take(each)
			if err != nil {
				t.Error(err)
			}
			results <- taken
		}()
	}
	all := append(<-results, <-results...)
	slices.Sort(all)
	if distinct := slices.Compact(slices.Clone(all)); len(distinct) != 2*each {
		t.Errorf("%d distinct ports, want %d", len(distinct), 2*each)
	}
}

func TestPortInUseOrReservedIsNotTaken(t *testing.T) {
	var reservation Reservation
	ports, err := reservation.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	var other Reservation
	if other.take(ports[0]) == nil {
		t.Error("a reserved port was taken")
	}
	release(t, &reservation)

	listener, err := net.Listen("tcp", Address(ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	if other.take(ports[0]) == nil {
		t.Error("a port in use was taken")
	}
	if Free(ports[0]) == nil {
		t.Error("a port in use passes for free")
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := other.take(ports[0]); err != nil {
		t.Errorf("a port that was given back is not taken: %v", err)
	}
	release(t, &other)
}

func release(t *testing.T, reservation *Reservation) {
	t.Helper()
	if err := reservation.Release(); err != nil {
		t.Error(err)
	}
}
