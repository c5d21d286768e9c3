// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// wholeNode is a pod that takes a node of 8 GPUs and 8 NICs.
var wholeNode = shape{gpus: 8, nics: 8}

// burstOrder is the gang benchmark of NVIDIA's knavigator: so many jobs of so
// many replicas each, all submitted at once. Each group fills 32 nodes.
var burstOrder = []struct{ jobs, replicas int }{
	{1, 32}, {2, 16}, {3, 10}, {1, 2}, {4, 8}, {5, 6}, {2, 1}, {6, 5}, {1, 2}, {7, 4}, {1, 2}, {2, 1}, {8, 4}, {9, 3}, {1, 5},
}

const (
	// burstLasts is how long each of its jobs runs, burstFewest how many times
	// that the whole takes if nothing is ever idle.
	burstLasts  = 2 * time.Minute
	burstFewest = 9
)

var burstFleet = fleet.Spec{Name: "burst", Shape: fleet.NDH100v5, Spines: 2, Leaves: 2, Nodes: 8, Zone: "zone-1", PlacementGroup: "burst"}

// burst is the jobs in their own order, or in one of the seed's making.
func burst(seed uint64) []*job {
	var jobs []*job
	for _, group := range burstOrder {
		for range group.jobs {
			jobs = append(jobs, &job{pods: group.replicas, shape: wholeNode, lasts: burstLasts})
		}
	}
	if seed > 0 {
		random := rand.New(rand.NewPCG(seed, 13))
		random.Shuffle(len(jobs), func(i, k int) { jobs[i], jobs[k] = jobs[k], jobs[i] })
	}
	for i, j := range jobs {
		j.id = i
	}
	return jobs
}

// burstResult is one contender's run of the burst.
type burstResult struct {
	makespan  time.Duration
	occupancy float64
	never     int
}

func runBurst(of contender, seed uint64) (burstResult, error) {
	jobs := burst(seed)
	s, err := run(newCluster(burstFleet), jobs, func(c *cluster) (scheduler, error) { return of.build(c, seed) })
	if err != nil {
		return burstResult{}, err
	}
	r := burstResult{makespan: s.lastEnd(), never: s.never()}
	var work float64
	for _, e := range s.jobs {
		if e.ended {
			work += e.work()
		}
	}
	if r.makespan > 0 {
		r.occupancy = work / (r.makespan.Seconds() * float64(s.gpus()))
	}
	return r, nil
}

// The stream is jobs of one node that keep 32 nodes busy for a day, and a gang of
// 24 nodes that comes after an hour: who lets small jobs pass for ever starves it.
const (
	streamLasts = 24 * time.Hour
	streamGang  = 24
	streamCome  = time.Hour
	// streamLoad is what the small jobs ask for, of the nodes there are.
	streamLoad = 0.95
	// streamShortest and streamLongest bound how long each of them runs.
	streamShortest, streamLongest = 10 * time.Minute, 30 * time.Minute
)

func stream(seed uint64) []*job {
	random := rand.New(rand.NewPCG(seed, 17))
	gang := &job{pods: streamGang, shape: wholeNode, arrives: streamCome, lasts: time.Hour}
	jobs := []*job{gang}
	mean := (streamShortest + streamLongest) / 2
	count := int(streamLoad * float64(burstFleet.Size()) * streamLasts.Seconds() / mean.Seconds())
	for range count {
		jobs = append(jobs, &job{
			pods: 1, shape: wholeNode, arrives: seconds(random.Float64() * streamLasts.Seconds()),
			lasts: seconds(streamShortest.Seconds() + random.Float64()*(streamLongest-streamShortest).Seconds()),
		})
	}
	slices.SortStableFunc(jobs, func(a, b *job) int { return cmp.Compare(a.arrives, b.arrives) })
	for i, j := range jobs {
		j.id = i
	}
	return jobs
}

// streamResult is how long the gang waited, and the others on average.
type streamResult struct{ gang, others float64 }

func runStream(of contender, seed uint64) (streamResult, error) {
	s, err := run(newCluster(burstFleet), stream(seed), func(c *cluster) (scheduler, error) { return of.build(c, seed) })
	if err != nil {
		return streamResult{}, err
	}
	var r streamResult
	for _, e := range s.jobs {
		waited := e.waited(s.now).Seconds()
		if len(e.pods) > 1 {
			r.gang = waited
		} else {
			r.others += waited / float64(len(s.jobs)-1)
		}
	}
	return r, nil
}

// The network topology case of knavigator: 3 spines of 2 leaves of 2 nodes, five
// of them busy, and a job of 3 nodes for which one choice stays below one spine.
var (
	topologyFleet = fleet.Spec{Name: "nwtopo", Shape: fleet.NDH100v5, Spines: 3, Leaves: 2, Nodes: 2, Zone: "zone-1", PlacementGroup: "nwtopo"}
	topologyBusy  = []int{1, 3, 6, 11, 12}
	topologyBest  = []int{5, 7, 8}
)

const topologyReplicas = 3

// preset has machines busy before the contender is asked.
type preset struct{ scheduler }

func (p preset) pass(s *sim) error {
	for _, e := range s.waiting() {
		if e.id >= len(topologyBusy) {
			return p.scheduler.pass(s)
		}
		if err := s.start(e, []seat{{machine: s.machines[topologyBusy[e.id]-1]}}); err != nil {
			return err
		}
	}
	return nil
}

// runTopology returns the numbers of the nodes that the job gets.
func runTopology(of contender, seed uint64) ([]int, error) {
	var jobs []*job
	for i := range topologyBusy {
		jobs = append(jobs, &job{id: i, pods: 1, shape: wholeNode, lasts: 24 * time.Hour})
	}
	jobs = append(jobs, &job{id: len(jobs), pods: topologyReplicas, shape: wholeNode, lasts: time.Hour, arrives: time.Second})
	var chosen []int
	watch := func(c *cluster) (scheduler, error) {
		inner, err := of.build(c, seed)
		return observer{preset{inner}, func(s *sim) {
			if last := s.jobs[len(s.jobs)-1]; last.started && chosen == nil {
				for _, p := range last.pods {
					chosen = append(chosen, p.machine.index+1)
				}
			}
		}}, err
	}
	_, err := run(newCluster(topologyFleet), jobs, watch)
	slices.Sort(chosen)
	return chosen, err
}

// observer looks at the cluster after each pass.
type observer struct {
	scheduler
	after func(*sim)
}

func (o observer) pass(s *sim) error {
	if err := o.scheduler.pass(s); err != nil {
		return err
	}
	o.after(s)
	return nil
}
