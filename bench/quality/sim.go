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

// scheduler binds the pods of waiting jobs. The simulation calls pass after every event.
type scheduler interface {
	pass(s *sim) error
}

// entry is a job in a simulation.
type entry struct {
	*job
	pods []*pod
	// since is the time at which the job was last queued.
	since time.Duration
	// bound is the number of its bound pods; holding is the time at which the first was
	// bound.
	bound     int
	holding   time.Duration
	started   bool
	start     time.Duration
	ended     bool
	end       time.Duration
	footprint footprint
}

// event is a time at which the state may change.
type event struct {
	at time.Duration
	// ends is the job that ends at this time. It is nil for a pass of the scheduler.
	ends *entry
	seq  int
}

type events []event

func (w events) Len() int      { return len(w) }
func (w events) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w events) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(w[i].at, w[j].at), cmp.Compare(w[i].seq, w[j].seq)) < 0
}

// Push adds an event.
func (w *events) Push(x any) { *w = append(*w, x.(event)) }

// Pop removes the last event.
func (w *events) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// sim is the simulation of one contender with one trace (list of jobs).
type sim struct {
	*simulatedCluster
	scheduler scheduler
	jobs      []*entry
	// queue holds the waiting jobs in the order of arrival.
	queue  []*entry
	now    time.Duration
	coming int
	events events
	seq    int
	// refusedKinds are the kinds of jobs that found no room. It is cleared when devices are
	// released, because a retry before that cannot succeed.
	refusedKinds map[kind]bool
	meter        meter
	// window is the time of the last arrival. The meter stops then.
	window time.Duration
}

// maxWindows limits the length of simulations in which jobs never start. It is a multiple
// of the time in which jobs arrive.
const maxWindows = 20

// run simulates the jobs on the fleet until no event is left.
func run(c *simulatedCluster, jobs []*job, build func(*simulatedCluster) (scheduler, error)) (*sim, error) {
	s := &sim{simulatedCluster: c, refusedKinds: map[kind]bool{}}
	for _, j := range jobs {
		s.jobs = append(s.jobs, &entry{job: j, pods: newPods(j)})
		s.window = max(s.window, j.arrives)
	}
	var err error
	if s.scheduler, err = build(c); err != nil {
		return nil, err
	}
	for s.advance() {
		if err := s.processEvents(); err != nil {
			return nil, fmt.Errorf("at %v: %w", s.now, err)
		}
		if err := s.scheduler.pass(s); err != nil {
			return nil, fmt.Errorf("at %v: %w", s.now, err)
		}
	}
	return s, nil
}

// advance moves the clock to the next event.
func (s *sim) advance() bool {
	next := time.Duration(-1)
	if s.coming < len(s.jobs) {
		next = s.jobs[s.coming].arrives
	}
	if len(s.events) > 0 && (next < 0 || s.events[0].at < next) {
		next = s.events[0].at
	}
	if next < 0 || next > maxWindows*max(s.window, time.Hour) {
		return false
	}
	s.meter.advance(s, next)
	s.now = next
	return true
}

// processEvents ends and adds the jobs that are due.
func (s *sim) processEvents() error {
	for len(s.events) > 0 && s.events[0].at <= s.now {
		if e := heap.Pop(&s.events).(event).ends; e != nil {
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

// wakeAt adds an event: the end of a job, or a pass of the scheduler if ends is nil.
func (s *sim) wakeAt(at time.Duration, ends *entry) {
	s.seq++
	heap.Push(&s.events, event{at: at, ends: ends, seq: s.seq})
}

// nodeChoice is the node for one pod.
type nodeChoice struct {
	machine *machine
	// arrange returns the machine's slices in the order for the allocator; nil keeps the
	// published order. It is called after the preceding pods are bound.
	arrange func(*pod) ([]*resourceapi.ResourceSlice, error)
}

// bindNext binds the next pod of a job.
func (s *sim) bindNext(e *entry, at nodeChoice) error {
	p := e.pods[e.bound]
	slices := at.machine.slices
	if at.arrange != nil {
		var err error
		if slices, err = at.arrange(p); err != nil {
			return err
		}
	}
	if err := s.bind(p, at.machine, slices); err != nil {
		return err
	}
	if e.bound == 0 {
		e.holding = s.now
	}
	e.bound++
	return nil
}

// start binds all pods of a job and starts the job. None of the pods may be bound before.
func (s *sim) start(e *entry, seats []nodeChoice) error {
	if len(seats) != len(e.pods) || e.bound != 0 {
		return fmt.Errorf("job %d has %d pods, %d of them bound, and %d chosen nodes", e.id, len(e.pods), e.bound, len(seats))
	}
	for _, at := range seats {
		if err := s.bindNext(e, at); err != nil {
			return err
		}
	}
	return s.begin(e)
}

// begin starts a job with all pods bound.
func (s *sim) begin(e *entry) error {
	if e.bound != len(e.pods) || e.started {
		return fmt.Errorf("job %d cannot start with %d of %d pods bound", e.id, e.bound, len(e.pods))
	}
	e.started, e.start = true, s.now
	e.footprint = s.footprintOf(e)
	s.wakeAt(s.now+e.duration, e)
	s.queue = slices.DeleteFunc(s.queue, func(o *entry) bool { return o == e })
	return nil
}

// release unbinds all pods of a job.
func (s *sim) release(e *entry) error {
	for _, p := range e.pods[:e.bound] {
		if err := s.unbind(p); err != nil {
			return err
		}
	}
	e.bound = 0
	clear(s.refusedKinds)
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

// waiting returns a copy of the queue, because passes change the queue while they iterate.
func (s *sim) waiting() []*entry { return slices.Clone(s.queue) }
