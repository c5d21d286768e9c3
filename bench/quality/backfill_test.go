// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// What running jobs are counted to use must be all that the cluster lacks: once all of them
// have ended, and no sooner, a gang of all nodes must fit.
func TestGangOfAllNodesStartsAfterTheLastEnd(t *testing.T) {
	c := newSimulatedCluster(topologyFleet)
	var d *dovetail
	jobs := []*job{
		{pods: 3, shape: shape{gpus: 1, nics: 1}, duration: time.Hour}, {pods: 1, shape: shape{gpus: 3}, duration: time.Hour},
		{pods: 2, shape: shape{gpus: 2, nics: 2}, duration: time.Hour}, {pods: 2, shape: wholeNode, duration: time.Hour},
	}
	for i, j := range jobs {
		j.id = i
	}
	s, err := run(c, jobs, func(c *simulatedCluster) (scheduler, error) {
		var err error
		d, err = newDovetail(c, policy{maxBypass: maxBypass, backfill: true})
		return stopsBeforeEnds{d}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.members.running); n != len(jobs) {
		t.Fatalf("%d of %d jobs run", n, len(jobs))
	}
	all := &entry{job: &job{id: len(jobs), pods: topologyFleet.Size(), shape: wholeNode}}
	all.pods = newPods(all.job)
	for _, p := range all.pods {
		s.create(p)
	}
	for last := range jobs {
		ends := func(pod *v1.Pod) (string, time.Time, bool) {
			set := pod.Labels[gangs.GangNameLabel]
			at := epoch.Add(time.Minute)
			if set == s.jobs[last].pods[0].object.Labels[gangs.GangNameLabel] {
				at = epoch.Add(time.Hour)
			}
			return set, at, false
		}
		r, err := d.firstStart(all, gangs.Forecast{Now: epoch, Of: ends})
		if err != nil {
			t.Fatal(err)
		}
		if want := epoch.Add(time.Hour); !r.Start.Equal(want) || len(r.Nodes) != topologyFleet.Size() {
			t.Errorf("job %d ends last: the gang starts at %v on %d nodes, want at %v on all", last, r.Start, len(r.Nodes), want)
		}
	}
}

// stopsBeforeEnds stops the simulation as soon as jobs run.
type stopsBeforeEnds struct{ scheduler }

func (b stopsBeforeEnds) pass(s *sim) error {
	err := b.scheduler.pass(s)
	s.events = nil
	return err
}

// What a gang leaves free on its nodes must be offered to others, and no more.
func TestSpareOfReservedNodes(t *testing.T) {
	c := newSimulatedCluster(topologyFleet)
	p, err := newPlanner(c)
	if err != nil {
		t.Fatal(err)
	}
	demand := func(s shape) (*entry, problem) {
		e := &entry{job: &job{id: s.gpus, pods: 1, shape: s}}
		e.pods = newPods(e.job)
		c.create(e.pods[0])
		of, err := p.problem(e)
		if err != nil {
			t.Fatal(err)
		}
		return e, of
	}
	_, three := demand(shape{gpus: 3})
	_, _ = demand(shape{gpus: 1})
	r := plan.Reserve(three.snapshot, three.gang, nil, nil, plan.Options{})
	if len(r.Spare) != 1 {
		t.Fatalf("%d nodes with spare amounts, want 1", len(r.Spare))
	}
	spare := p.cache.Named(&r.Spare[0])
	var got []int
	for _, gpus := range []int{1, 2, 5, 6} {
		_, of := demand(shape{gpus: gpus})
		got = append(got, p.cache.Times(&of.gang.Roles[0].Need, &spare))
	}
	if want := []int{5, 2, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("pods of 1, 2, 5 and 6 GPUs fit %v times beside one of 3, want %v", got, want)
	}
}

// Percentiles of Philly's run times must be those of the source.
func TestPhillyRunTimes(t *testing.T) {
	var drawn []float64
	random := newRandom(5)
	for range 20000 {
		drawn = append(drawn, drawPhilly(random).Seconds())
	}
	slices.Sort(drawn)
	for _, q := range phillyQuantiles[1:] {
		if q.seconds > phillyLongest.Seconds() {
			break
		}
		got := drawn[int(q.fraction*float64(len(drawn)))]
		if got < q.seconds*0.8 || got > q.seconds*1.25 {
			t.Errorf("percentile %v: %.0f s, want about %.0f", 100*q.fraction, got, q.seconds)
		}
	}
}
