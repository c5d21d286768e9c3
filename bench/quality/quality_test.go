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

// judge looks at the cluster after each pass: nothing is over-committed, every
// device in use has one holder that knows of it, and of a job that asked for all
// or nothing no part is bound. That no device is given out twice is looked at in
// each binding, by the cluster.
type judge struct {
	scheduler
	t     *testing.T
	whole bool
}

func (j judge) pass(s *sim) error {
	if err := j.scheduler.pass(s); err != nil {
		return err
	}
	for _, m := range s.machines {
		j.look(m)
	}
	for _, e := range s.queue {
		if j.whole && e.bound > 0 {
			j.t.Errorf("at %v job %d waits with %d of %d pods bound", s.now, e.id, e.bound, len(e.pods))
		}
	}
	return nil
}

// look counts one machine's pods and devices anew.
func (j judge) look(m *machine) {
	left := m.all
	held := map[*pod]int{}
	for _, p := range m.holders {
		held[p]++
	}
	for p, n := range held {
		left.take(p.shape, 1)
		if p.machine != m || n != len(p.devices) || n != p.shape.gpus+p.shape.nics {
			j.t.Errorf("pod %s holds %d devices of %s and wants %d", p.object.Name, n, m.node.Name, p.shape.gpus+p.shape.nics)
		}
	}
	if left != m.free || left.cpu < 0 || left.memory < 0 || left.pods < 0 || len(m.holders) != len(m.taken) {
		j.t.Errorf("node %s has %+v left, counted %+v; %d devices are held, %d taken", m.node.Name, m.free, left, len(m.holders), len(m.taken))
	}
}

func judged(t *testing.T, of contender, seed uint64) *sim {
	t.Helper()
	c := newCluster(benchFleet)
	s, err := run(c, newTrace(seed, testJobs, testLoad, c.gpus()/4), func(c *cluster) (scheduler, error) {
		inner, err := of.build(c, seed)
		_, single := inner.(podQueue)
		return judge{inner, t, !single}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every contender keeps the rules of the cluster, and gives the same figures for
// the same seed.
func TestContendersKeepTheRulesAndRepeat(t *testing.T) {
	for _, of := range contenders {
		t.Run(of.name, func(t *testing.T) {
			var runs [2][]float64
			for i := range runs {
				s := judged(t, of, 1)
				for _, f := range figures {
					runs[i] = append(runs[i], f.of(s, s.lastEnd()))
				}
				for _, e := range s.jobs {
					if e.started != e.ended || e.ended && (e.end-e.start != e.lasts || e.start < e.arrives) {
						t.Errorf("job %d came at %v, lasts %v, and ran from %v to %v", e.id, e.arrives, e.lasts, e.start, e.end)
					}
				}
				if n := s.never(); n > 0 && of.name != "stock" {
					t.Errorf("%d jobs never started", n)
				}
			}
			if diff := cmp.Diff(runs[0], runs[1], cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("two runs with one seed (-first,+second):\n%s", diff)
			}
		})
	}
}

// The trace has the sizes and durations that it says it has.
func TestTraceFollowsItsSource(t *testing.T) {
	jobs := newTrace(3, 20000, 1, 768)
	var gpus, durations []float64
	for _, j := range jobs {
		gpus, durations = append(gpus, float64(j.gpus())), append(durations, j.lasts.Seconds())
	}
	slices.Sort(gpus)
	slices.Sort(durations)
	if mean, _ := statistics(gpus); math.Abs(mean-5.68) > 0.6 || gpus[len(gpus)/2] != 1 {
		t.Errorf("jobs take %.2f GPUs on average and %v in the median, want about 5.68 and 1", mean, gpus[len(gpus)/2])
	}
	if median := durations[len(durations)/2]; math.Abs(median-medianSeconds) > 10 {
		t.Errorf("jobs last %v s in the median, want about %v", median, medianSeconds)
	}
	// The cut tail takes from the mean, never adds to it.
	if mean, _ := statistics(durations); mean < meanSeconds/2 || mean > meanSeconds {
		t.Errorf("jobs last %.0f s on average, want from half of %v to all of it", mean, meanSeconds)
	}
}

// knavigator's cases: the one choice below one spine, and a burst that a cluster
// can run without ever being idle.
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
			t.Errorf("the burst took %v, want %d times %v", result.makespan, burstFewest, burstLasts)
		}
	}
}

// Two jobs that each hold half of a cluster that both want whole wait for each
// other for ever, unless they have a deadline.
func TestPartsHeldAreADeadlock(t *testing.T) {
	jobs := func() []*job {
		var all []*job
		for i := range 2 {
			all = append(all, &job{id: i, pods: topologyFleet.Size() * 8, shape: shape{gpus: 1, nics: 1}, lasts: burstLasts})
		}
		return all
	}
	halves := func(patienceOf podQueue) (scheduler, error) { return interleaved{patienceOf}, nil }
	s, err := run(newCluster(topologyFleet), jobs(), func(*cluster) (scheduler, error) { return halves(podQueue{by: fullest{}}) })
	if err != nil {
		t.Fatal(err)
	}
	if n := s.never(); n != 2 {
		t.Errorf("%d jobs never start, want both", n)
	}
	s, err = run(newCluster(topologyFleet), jobs(), func(*cluster) (scheduler, error) {
		return halves(podQueue{by: fullest{}, patience: patience})
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.never(); n != 0 {
		t.Errorf("%d jobs with a deadline never start", n)
	}
}

// interleaved lets the first jobs bind half of their pods before the queue
// goes on.
type interleaved struct{ podQueue }

func (i interleaved) pass(s *sim) error {
	if s.now > 0 {
		return i.podQueue.pass(s)
	}
	for _, e := range s.waiting() {
		if err := bindHalf(s, e); err != nil {
			return err
		}
		if i.patience > 0 {
			e.holding = time.Duration(e.id) * time.Minute // they did not start at the same moment
			s.callAt(e.holding+i.patience, nil)
		}
	}
	return nil
}

// bindHalf binds half of a job's pods, node by node.
func bindHalf(s *sim, e *entry) error {
	for at := 0; e.bound < len(e.pods)/2; at++ {
		for m := s.machines[at]; m.free.holds(e.shape) && e.bound < len(e.pods)/2; {
			if err := s.bindOne(e, seat{machine: m}); err != nil {
				return err
			}
		}
	}
	return nil
}
