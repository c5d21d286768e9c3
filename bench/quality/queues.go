// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"time"
)

// picker returns the index of the machine for one pod, or -1 for none. rooms is the free
// room of each machine.
type picker interface {
	pick(machines []*machine, rooms []room, p shape) int
}

// gangQueue binds all pods of a job or none, in the order of arrival. Later jobs bypass a
// job without room, unless the queue is fifo.
type gangQueue struct {
	choose func(s *sim, e *entry) ([]nodeChoice, error)
	fifo   bool
}

func (g gangQueue) pass(s *sim) error {
	for _, e := range s.waiting() {
		var seats []nodeChoice
		if !s.refusedKinds[e.kind()] {
			var err error
			if seats, err = g.choose(s, e); err != nil {
				return err
			}
		}
		if seats == nil {
			s.refusedKinds[e.kind()] = true
			if g.fifo {
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

// oneByOne returns a function that chooses a node for each pod of a job in sequence. If
// one pod has no node, the function returns no node for the job.
func oneByOne(by picker) func(*sim, *entry) ([]nodeChoice, error) {
	return func(s *sim, e *entry) ([]nodeChoice, error) {
		return chooseEach(s.machines, s.rooms(), e, by), nil
	}
}

func chooseEach(machines []*machine, rooms []room, e *entry, by picker) []nodeChoice {
	seats := make([]nodeChoice, len(e.pods))
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

// podQueue binds each pod separately. A job starts when its last pod is bound. Until then
// its bound pods hold their nodes.
type podQueue struct {
	by picker
	// holdLimit is how long a job holds nodes before all its pods are bound; 0 means without
	// limit. After this time the job releases the nodes and queues again.
	holdLimit time.Duration
}

func (q podQueue) pass(s *sim) error {
	if err := q.releaseExpired(s); err != nil {
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
			if err := s.bindNext(e, nodeChoice{machine: s.machines[at]}); err != nil {
				return err
			}
			if e.bound == 1 && q.holdLimit > 0 && len(e.pods) > 1 {
				s.wakeAt(s.now+q.holdLimit, nil)
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

func (q podQueue) releaseExpired(s *sim) error {
	if q.holdLimit == 0 {
		return nil
	}
	for _, e := range s.waiting() {
		if e.bound == 0 || s.now < e.holding+q.holdLimit {
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

// requeue moves a job to the end of the queue.
func (s *sim) requeue(e *entry) {
	others := s.queue[:0]
	for _, o := range s.queue {
		if o != e {
			others = append(others, o)
		}
	}
	s.queue = append(others, e)
}

// stockScore prefers the emptiest and most balanced node. It is the sum of the stock scores
// that differ between these nodes: NodeResourcesFit with LeastAllocated and
// NodeResourcesBalancedAllocation, each with weight 1, over CPU and memory. Both ignore
// devices. A random choice breaks ties.
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

// leastAllocated returns the mean free fraction of CPU and memory, in percent.
func leastAllocated(m *machine, left room, of shape) int64 {
	return ((left.cpu-of.cpu())*100/m.capacity.cpu + (left.memory-of.memory())*100/m.capacity.memory) / 2
}

// balancedAllocation scores how much the pod improves the balance of CPU and memory.
func balancedAllocation(m *machine, left room, of shape) int64 {
	after := left
	after.take(of, 1)
	return 50 + (50+balance(m, after)-balance(m, left))/2
}

// balance is 100 if equal fractions of CPU and memory are in use.
func balance(m *machine, left room) int64 {
	cpu := float64(m.capacity.cpu-left.cpu) / float64(m.capacity.cpu)
	memory := float64(m.capacity.memory-left.memory) / float64(m.capacity.memory)
	return int64((1 - max(cpu-memory, memory-cpu)/2) * 100)
}

// fullest picks the node with the fewest free GPUs among the nodes with room.
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

// anywhere picks a random node with room.
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

// smallestDomain chooses the domain of the finest level with room for the job by counts
// of GPUs. Of several, it chooses the domain with the least room. Pods go to the fullest
// nodes of this domain. It does not count NICs, like schedulers that ignore devices in
// their topology search. If NICs run out in a domain, it tries the next domain.
func smallestDomain(s *sim, e *entry) ([]nodeChoice, error) {
	if len(e.pods) == 1 {
		return chooseEach(s.machines, s.rooms(), e, fullest{}), nil
	}
	for _, level := range levels {
		for _, domain := range tightestDomains(s, e, level.of) {
			if seats := chooseEach(domain, roomsOf(domain), e, fullest{}); seats != nil {
				return seats, nil
			}
		}
	}
	return nil, nil
}
