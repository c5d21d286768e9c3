// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"time"
)

// picker chooses the machine for one pod on a sketch of what is free, or -1.
type picker interface {
	pick(machines []*machine, rooms []room, p shape) int
}

// gangQueue starts jobs whole or not at all, in the order in which they came;
// unless it is strict, those behind one that finds no room are tried, too.
type gangQueue struct {
	place  func(s *sim, e *entry) ([]seat, error)
	strict bool
}

func (g gangQueue) pass(s *sim) error {
	for _, e := range s.waiting() {
		var seats []seat
		if !s.hopeless[e.kind()] {
			var err error
			if seats, err = g.place(s, e); err != nil {
				return err
			}
		}
		if seats == nil {
			s.hopeless[e.kind()] = true
			if g.strict {
				return nil
			}
			continue
		}
		if err := s.start(e, seats); err != nil {
			return err
		}
	}
	return nil
}

// oneByOne places the pods of a job one after the other and takes all back if
// one of them finds no place, as scheduling gangs pod by pod does.
func oneByOne(by picker) func(*sim, *entry) ([]seat, error) {
	return func(s *sim, e *entry) ([]seat, error) {
		return seated(s.machines, s.rooms(), e, by), nil
	}
}

func seated(machines []*machine, rooms []room, e *entry, by picker) []seat {
	seats := make([]seat, len(e.pods))
	for i := range e.pods {
		at := by.pick(machines, rooms, e.shape)
		if at < 0 {
			return nil
		}
		rooms[at].take(e.shape, 1)
		seats[i].machine = machines[at]
	}
	return seats
}

// podQueue places every pod by itself. A job starts when its last pod is bound;
// until then the others hold what they have.
type podQueue struct {
	by picker
	// patience is how long a job holds a part; 0 is for ever. Then it gives back
	// what it holds and queues up again, as jobs with a deadline for their pods do.
	patience time.Duration
}

func (q podQueue) pass(s *sim) error {
	if err := q.losePatience(s); err != nil {
		return err
	}
	rooms := s.rooms()
	full := map[shape]bool{}
	for _, e := range s.waiting() {
		for e.bound < len(e.pods) && !full[e.shape] {
			at := q.by.pick(s.machines, rooms, e.shape)
			if at < 0 {
				full[e.shape] = true
				break
			}
			rooms[at].take(e.shape, 1)
			if err := s.bindOne(e, seat{machine: s.machines[at]}); err != nil {
				return err
			}
			if e.bound == 1 && q.patience > 0 && len(e.pods) > 1 {
				s.callAt(s.now+q.patience, nil)
			}
		}
		if e.bound == len(e.pods) {
			if err := s.begin(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q podQueue) losePatience(s *sim) error {
	if q.patience == 0 {
		return nil
	}
	for _, e := range s.waiting() {
		if e.bound == 0 || s.now < e.holding+q.patience {
			continue
		}
		if err := s.release(e); err != nil {
			return err
		}
		e.since = s.now
		s.requeue(e)
	}
	return nil
}

// requeue puts a job behind all others.
func (s *sim) requeue(e *entry) {
	rest := s.queue[:0]
	for _, o := range s.queue {
		if o != e {
			rest = append(rest, o)
		}
	}
	s.queue = append(rest, e)
}

// stockScore prefers the emptiest and most balanced node, as the score plugins of
// stock scheduling do that tell these nodes apart: NodeResourcesFit with
// LeastAllocated and NodeResourcesBalancedAllocation, of weight 1 each, over CPU
// and memory. They do not see devices. Equal nodes are chosen from at random.
type stockScore struct{ random *rand.Rand }

func (p stockScore) pick(machines []*machine, rooms []room, of shape) int {
	best, score, equal := -1, int64(-1), 0
	for i, m := range machines {
		if !rooms[i].holds(of) {
			continue
		}
		switch s := leastAllocated(m, rooms[i], of) + balancedAllocation(m, rooms[i], of); {
		case s > score:
			best, score, equal = i, s, 1
		case s == score:
			if equal++; p.random.IntN(equal) == 0 {
				best = i
			}
		}
	}
	return best
}

// leastAllocated is the mean share, in percent, that is left of CPU and memory.
func leastAllocated(m *machine, left room, of shape) int64 {
	return ((left.cpu-of.cpu())*100/m.all.cpu + (left.memory-of.memory())*100/m.all.memory) / 2
}

// balancedAllocation says how much the pod improves the balance of CPU and memory.
func balancedAllocation(m *machine, left room, of shape) int64 {
	after := left
	after.take(of, 1)
	return 50 + (50+balance(m, after)-balance(m, left))/2
}

// balance is 100 when equal shares of CPU and memory are in use.
func balance(m *machine, left room) int64 {
	cpu := float64(m.all.cpu-left.cpu) / float64(m.all.cpu)
	memory := float64(m.all.memory-left.memory) / float64(m.all.memory)
	return int64((1 - max(cpu-memory, memory-cpu)/2) * 100)
}

// fullest takes the node with the fewest GPUs left that holds the pod.
type fullest struct{}

func (fullest) pick(_ []*machine, rooms []room, of shape) int {
	best := -1
	for i := range rooms {
		if rooms[i].holds(of) && (best < 0 || rooms[i].gpus < rooms[best].gpus) {
			best = i
		}
	}
	return best
}

// anywhere takes any node that holds the pod.
type anywhere struct{ random *rand.Rand }

func (p anywhere) pick(_ []*machine, rooms []room, of shape) int {
	best, equal := -1, 0
	for i := range rooms {
		if !rooms[i].holds(of) {
			continue
		}
		if equal++; p.random.IntN(equal) == 0 {
			best = i
		}
	}
	return best
}

// smallestDomain takes, for the whole job, the domain of the lowest level that
// has enough room by counts of GPUs; of several the one with the least room. In it
// pods go to the fullest nodes. NICs are not counted, as by schedulers whose
// topology search knows no devices; a domain in which they run out is given up,
// and the next tried.
func smallestDomain(s *sim, e *entry) ([]seat, error) {
	if len(e.pods) == 1 {
		return seated(s.machines, s.rooms(), e, fullest{}), nil
	}
	for _, level := range levels {
		for _, domain := range snuggest(s, e, level.of) {
			if seats := seated(domain, roomsOf(domain), e, fullest{}); seats != nil {
				return seats, nil
			}
		}
	}
	return nil, nil
}
