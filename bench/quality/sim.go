// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"time"

	resourceapi "k8s.io/api/resource/v1"
)

// scheduler starts what it can, whenever something changed.
type scheduler interface {
	pass(s *sim) error
}

// entry is a job in a simulation.
type entry struct {
	*job
	pods []*pod
	// since is when it took its place in the queue.
	since time.Duration
	// bound are those of its pods that hold a node; holding is since when.
	bound   int
	holding time.Duration
	started bool
	start   time.Duration
	ended   bool
	end     time.Duration
	spot    spot
}

// waker is a moment at which something may change.
type waker struct {
	at time.Duration
	// ends is the job that ends then; nil if the scheduler wanted to be called.
	ends *entry
	seq  int
}

type wakers []waker

func (w wakers) Len() int      { return len(w) }
func (w wakers) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w wakers) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(w[i].at, w[j].at), cmp.Compare(w[i].seq, w[j].seq)) < 0
}

// Push adds a waker.
func (w *wakers) Push(x any) { *w = append(*w, x.(waker)) }

// Pop removes the last.
func (w *wakers) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// sim is one contender's run through one trace.
type sim struct {
	*cluster
	scheduler scheduler
	jobs      []*entry
	// queue are those that wait, first come first.
	queue  []*entry
	now    time.Duration
	coming int
	wake   wakers
	seq    int
	// hopeless are kinds for which no room was found since devices were last
	// given back: until then trying again is in vain.
	hopeless map[kind]bool
	meter    meter
	// window is when the meter stops: the last arrival.
	window time.Duration
}

// giveUp ends simulations in which jobs chase each other for ever: so many times
// the time in which jobs arrive.
const giveUp = 20

// run simulates the jobs on the fleet until nothing moves any more.
func run(c *cluster, jobs []*job, build func(*cluster) (scheduler, error)) (*sim, error) {
	s := &sim{cluster: c, hopeless: map[kind]bool{}}
	for _, j := range jobs {
		s.jobs = append(s.jobs, &entry{job: j, pods: newPods(j)})
		s.window = max(s.window, j.arrives)
	}
	var err error
	if s.scheduler, err = build(c); err != nil {
		return nil, err
	}
	for s.advance() {
		if err := s.happen(); err != nil {
			return nil, fmt.Errorf("at %v: %w", s.now, err)
		}
		if err := s.scheduler.pass(s); err != nil {
			return nil, fmt.Errorf("at %v: %w", s.now, err)
		}
	}
	return s, nil
}

// advance goes to the next moment at which something happens.
func (s *sim) advance() bool {
	next := time.Duration(-1)
	if s.coming < len(s.jobs) {
		next = s.jobs[s.coming].arrives
	}
	if len(s.wake) > 0 && (next < 0 || s.wake[0].at < next) {
		next = s.wake[0].at
	}
	if next < 0 || next > giveUp*max(s.window, time.Hour) {
		return false
	}
	s.meter.advance(s, next)
	s.now = next
	return true
}

// happen lets jobs end and arrive whose time has come.
func (s *sim) happen() error {
	for len(s.wake) > 0 && s.wake[0].at <= s.now {
		if e := heap.Pop(&s.wake).(waker).ends; e != nil {
			if err := s.finish(e); err != nil {
				return err
			}
		}
	}
	for ; s.coming < len(s.jobs) && s.jobs[s.coming].arrives <= s.now; s.coming++ {
		e := s.jobs[s.coming]
		e.since = s.now
		for _, p := range e.pods {
			s.create(p)
		}
		s.queue = append(s.queue, e)
	}
	return nil
}

// callAt has the scheduler called at a moment at which nothing else may happen.
func (s *sim) callAt(at time.Duration, ends *entry) {
	s.seq++
	heap.Push(&s.wake, waker{at: at, ends: ends, seq: s.seq})
}

// seat is a place for one pod.
type seat struct {
	machine *machine
	// shown are the machine's slices as the allocator is to see them; nil shows
	// them as they were published. It is asked when the pods before are bound.
	shown func(*pod) ([]*resourceapi.ResourceSlice, error)
}

// bindOne puts the next pod of a job in its place.
func (s *sim) bindOne(e *entry, at seat) error {
	p := e.pods[e.bound]
	shown := at.machine.slices
	if at.shown != nil {
		var err error
		if shown, err = at.shown(p); err != nil {
			return err
		}
	}
	if err := s.bind(p, at.machine, shown); err != nil {
		return err
	}
	if e.bound == 0 {
		e.holding = s.now
	}
	e.bound++
	return nil
}

// start binds the pods of a job that has none bound yet, and lets it run.
func (s *sim) start(e *entry, seats []seat) error {
	if len(seats) != len(e.pods) || e.bound != 0 {
		return fmt.Errorf("job %d has %d pods, %d of them bound, and got %d places", e.id, len(e.pods), e.bound, len(seats))
	}
	for _, at := range seats {
		if err := s.bindOne(e, at); err != nil {
			return err
		}
	}
	return s.begin(e)
}

// begin lets a job run all of whose pods are bound.
func (s *sim) begin(e *entry) error {
	if e.bound != len(e.pods) || e.started {
		return fmt.Errorf("job %d was to start with %d of %d pods", e.id, e.bound, len(e.pods))
	}
	e.started, e.start = true, s.now
	e.spot = s.look(e)
	s.callAt(s.now+e.lasts, e)
	s.queue = slices.DeleteFunc(s.queue, func(o *entry) bool { return o == e })
	return nil
}

// release gives back everything that a job holds.
func (s *sim) release(e *entry) error {
	for _, p := range e.pods[:e.bound] {
		if err := s.free(p); err != nil {
			return err
		}
	}
	e.bound = 0
	clear(s.hopeless)
	return nil
}

func (s *sim) finish(e *entry) error {
	e.ended, e.end = true, s.now
	if err := s.release(e); err != nil {
		return err
	}
	for _, p := range e.pods {
		s.remove(p)
	}
	return nil
}

// waiting is the queue as it is now: passes change it while they go over it.
func (s *sim) waiting() []*entry { return slices.Clone(s.queue) }
