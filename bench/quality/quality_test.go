// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const testJobs, testLoad = 120, 1.0

// ruleChecker checks the cluster after each pass. No node may be over-committed. Each
// allocated device must be in the list of the pod that holds it. No job of an
// all-or-nothing contender may be partly bound. The cluster itself checks at each binding
// that no device is allocated twice.
type ruleChecker struct {
	scheduler
	t            *testing.T
	allOrNothing bool
}

func (j ruleChecker) pass(s *sim) error {
	if err := j.scheduler.pass(s); err != nil {
		return err
	}
	for _, m := range s.machines {
		j.checkMachine(m)
	}
	for _, e := range s.queue {
		if j.allOrNothing && e.bound > 0 {
			j.t.Errorf("at %v job %d waits with %d of %d pods bound", s.now, e.id, e.bound, len(e.pods))
		}
	}
	return nil
}

// checkMachine recounts the pods and devices of one machine.
func (j ruleChecker) checkMachine(m *machine) {
	left := m.capacity
	held := map[*pod]int{}
	for _, p := range m.holders {
		held[p]++
	}
	for p, n := range held {
		left.take(p.shape, 1)
		if p.machine != m || n != len(p.devices) || n != p.shape.gpus+p.shape.nics {
			j.t.Errorf("pod %s holds %d devices of %s and requests %d", p.object.Name, n, m.node.Name, p.shape.gpus+p.shape.nics)
		}
	}
	if left != m.free || left.cpu < 0 || left.memory < 0 || left.pods < 0 || len(m.holders) != len(m.allocated) {
		j.t.Errorf("node %s has %+v left, counted %+v; %d devices are held, %d allocated", m.node.Name, m.free, left, len(m.holders), len(m.allocated))
	}
}

func checkedRun(t *testing.T, of contender, seed uint64) *sim {
	t.Helper()
	c := newSimulatedCluster(benchFleet)
	s, err := run(c, newTrace(seed, testJobs, testLoad, c.gpus()/4), func(c *simulatedCluster) (scheduler, error) {
		inner, err := of.build(c, seed)
		_, single := inner.(podQueue)
		return ruleChecker{inner, t, !single}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every contender must keep the rules of the cluster, and the same seed must give the same
// figures.
func TestContendersKeepTheRulesAndRepeat(t *testing.T) {
	for _, of := range contenders {
		t.Run(of.name, func(t *testing.T) {
			var runs [2][]float64
			for i := range runs {
				s := checkedRun(t, of, 1)
				for _, f := range figures {
					runs[i] = append(runs[i], f.of(s, s.lastEnd()))
				}
				for _, e := range s.jobs {
					if e.started != e.ended || e.ended && (e.end-e.start != e.duration || e.start < e.arrives) {
						t.Errorf("job %d arrived at %v, lasts %v, and ran from %v to %v", e.id, e.arrives, e.duration, e.start, e.end)
					}
				}
				if n := s.neverStarted(); n > 0 && of.name != "stock" {
					t.Errorf("%d jobs never started", n)
				}
			}
			if diff := cmp.Diff(runs[0], runs[1], cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("two runs with one seed (-first,+second):\n%s", diff)
			}
		})
	}
}

// The sizes and durations of the trace must follow their source.
func TestTraceFollowsItsSource(t *testing.T) {
	jobs := newTrace(3, 20000, 1, 768)
	var gpus, durations []float64
	for _, j := range jobs {
		gpus, durations = append(gpus, float64(j.gpus())), append(durations, j.duration.Seconds())
	}
	slices.Sort(gpus)
	slices.Sort(durations)
	if mean, _ := statistics(gpus); math.Abs(mean-5.68) > 0.6 || gpus[len(gpus)/2] != 1 {
		t.Errorf("jobs take %.2f GPUs on average and %v in the median, want about 5.68 and 1", mean, gpus[len(gpus)/2])
	}
	if median := durations[len(durations)/2]; math.Abs(median-medianSeconds) > 10 {
		t.Errorf("jobs last %v s in the median, want about %v", median, medianSeconds)
	}
	// The cut-off of long durations reduces the mean.
	if mean, _ := statistics(durations); mean < meanSeconds/2 || mean > meanSeconds {
		t.Errorf("jobs last %.0f s on average, want from half of %v to all of it", mean, meanSeconds)
	}
}

// Dovetail must find the only choice within one spine, and run the burst without idle
// nodes.
func TestCasesOfKnavigator(t *testing.T) {
	var replicas, jobs int
	for _, group := range burstOrder {
		jobs, replicas = jobs+group.jobs, replicas+group.jobs*group.replicas
	}
	if jobs != 53 || replicas != burstFewest*burstFleet.Size() {
		t.Errorf("the burst has %d jobs with %d replicas, want 53 and %d", jobs, replicas, burstFewest*burstFleet.Size())
	}
	for _, of := range contenders {
		if of.name != dovetailName {
			continue
		}
		chosen, err := runTopology(of, 1)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(topologyBest, chosen); diff != "" {
			t.Errorf("nodes of the topology case (-want,+got):\n%s", diff)
		}
		result, err := runBurst(of, 0)
		if err != nil {
			t.Fatal(err)
		}
		if result.ofFewest() != 1 {
			t.Errorf("the burst took %v, want %d times %v", result.makespan, burstFewest, burstDuration)
		}
	}
}

// Two jobs that each need the full cluster and hold half of it must deadlock, unless they
// have a deadline.
func TestPartsHeldAreADeadlock(t *testing.T) {
	jobs := func() []*job {
		var all []*job
		for i := range 2 {
			all = append(all, &job{id: i, pods: topologyFleet.Size() * 8, shape: shape{gpus: 1, nics: 1}, duration: burstDuration})
		}
		return all
	}
	halves := func(queue podQueue) (scheduler, error) { return halvesFirst{queue}, nil }
	s, err := run(newSimulatedCluster(topologyFleet), jobs(), func(*simulatedCluster) (scheduler, error) { return halves(podQueue{by: fullest{}}) })
	if err != nil {
		t.Fatal(err)
	}
	if n := s.neverStarted(); n != 2 {
		t.Errorf("%d jobs never start, want both", n)
	}
	s, err = run(newSimulatedCluster(topologyFleet), jobs(), func(*simulatedCluster) (scheduler, error) {
		return halves(podQueue{by: fullest{}, holdLimit: holdLimit})
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.neverStarted(); n != 0 {
		t.Errorf("%d jobs with a deadline never start", n)
	}
}

// halvesFirst binds half of the pods of the first jobs before the queue continues.
type halvesFirst struct{ podQueue }

func (i halvesFirst) pass(s *sim) error {
	if s.now > 0 {
		return i.podQueue.pass(s)
	}
	for _, e := range s.waiting() {
		if err := bindHalf(s, e); err != nil {
			return err
		}
		if i.holdLimit > 0 {
			e.holding = time.Duration(e.id) * time.Minute // their deadlines must differ
			s.wakeAt(e.holding+i.holdLimit, nil)
		}
	}
	return nil
}

// bindHalf binds half of a job's pods, node by node.
func bindHalf(s *sim, e *entry) error {
	for at := 0; e.bound < len(e.pods)/2; at++ {
		for m := s.machines[at]; m.free.holds(e.shape) && e.bound < len(e.pods)/2; {
			if err := s.bindNext(e, nodeChoice{machine: m}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Nodes must be reserved for a gang that small jobs have bypassed for longer than
// maxBypass. Without a limit the gang waits until the stream of small jobs ends.
func TestReservationEndsBypassing(t *testing.T) {
	waits := map[string]time.Duration{}
	for _, of := range contenders {
		if of.name != dovetailName && of.name != "dovetail-bypass" {
			continue
		}
		result, err := runStream(of, 1)
		if err != nil {
			t.Fatal(err)
		}
		waits[of.name] = seconds(result.gang)
	}
	if got := waits[dovetailName]; got < maxBypass || got > 3*maxBypass {
		t.Errorf("the gang waits %v, want between 1 and 3 times maxBypass (%v)", got, maxBypass)
	}
	if got := waits["dovetail-bypass"]; got < streamLength-3*streamArrival {
		t.Errorf("without a limit the gang waits %v, want until the stream ends after %v", got, streamLength)
	}
}
