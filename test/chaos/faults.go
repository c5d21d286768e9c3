// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"math/rand/v2"
	"slices"
)

// fault is a kind of fault, with the function that causes one.
type fault struct {
	// name is its kind in the counts and in the environment variable CHAOS_KINDS.
	name string
	// weight is its share of the faults.
	weight int
	// counts is true for faults that are counted while they happen: by the proxy or the
	// webhook, once for each request, or by apply. Other faults are counted once, when apply
	// returns.
	counts bool
	// apply causes the fault, and ends it unless it ends by itself. It makes all its random
	// choices before it waits for anything, so that the seed determines them.
	apply func(ctx context.Context, r *rig, random *rand.Rand) error
}

// table lists every kind of fault.
var table = slices.Concat(requestFaults, connectionFaults, programFaults, admissionFaults, objectFaults)

// Kinds are the names of all kinds of faults.
func Kinds() []string {
	var names []string
	for _, f := range table {
		names = append(names, f.name)
	}
	return names
}

// event is one fault of a schedule.
type event struct {
	fault
	random *rand.Rand
}

// schedule draws the faults that a seed determines. It starts with each kind once, in random
// order.
type schedule struct {
	seed   uint64
	random *rand.Rand
	kinds  []fault
	first  []fault
	drawn  uint64
}

func newSchedule(seed uint64, only []string) *schedule {
	s := &schedule{seed: seed, random: rand.New(rand.NewPCG(seed, 1))}
	for _, f := range table {
		if len(only) == 0 || slices.Contains(only, f.name) {
			s.kinds = append(s.kinds, f)
		}
	}
	s.first = slices.Clone(s.kinds)
	s.random.Shuffle(len(s.first), func(i, j int) { s.first[i], s.first[j] = s.first[j], s.first[i] })
	return s
}

func (s *schedule) next() event {
	s.drawn++
	e := event{random: rand.New(rand.NewPCG(s.seed, s.drawn<<8))}
	if len(s.first) > 0 {
		e.fault, s.first = s.first[0], s.first[1:]
		return e
	}
	sum := 0
	for _, f := range s.kinds {
		sum += f.weight
	}
	at := s.random.IntN(sum)
	for _, f := range s.kinds {
		if at -= f.weight; at < 0 {
			e.fault = f
			break
		}
	}
	return e
}
