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

// wholeNode is the request of a pod for all 8 GPUs and 8 NICs of a node.
var wholeNode = shape{gpus: 8, nics: 8}

// burstOrder is the gang benchmark of NVIDIA's knavigator: numbers of jobs and of replicas per
// job, all submitted at once. A replica fills a node, and one to three successive entries fill
// the 32 nodes of burstFleet.
var burstOrder = []struct{ jobs, replicas int }{
	{1, 32}, {2, 16}, {3, 10}, {1, 2}, {4, 8}, {5, 6}, {2, 1}, {6, 5}, {1, 2}, {7, 4}, {1, 2}, {2, 1}, {8, 4}, {9, 3}, {1, 5},
}

const (
	// burstDuration is the run time of each job. burstFewest is the makespan without any
	// idle node, in multiples of burstDuration.
	burstDuration = 2 * time.Minute
	burstFewest   = 9
)

var burstFleet = fleet.Spec{Name: "burst", Shape: fleet.NDH100v5, Spines: 2, Leaves: 2, Nodes: 8, Zone: "zone-1", PlacementGroup: "burst"}

// burst returns the jobs in the order of burstOrder for seed 0, and shuffled for other
// seeds.
func burst(seed uint64) []*job {
	var jobs []*job
	for _, group := range burstOrder {
		for range group.jobs {
			jobs = append(jobs, &job{pods: group.replicas, shape: wholeNode, duration: burstDuration})
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

// burstResult is the result of one contender on the burst.
type burstResult struct {
	makespan     time.Duration
	occupancy    float64
	neverStarted int
}

func runBurst(of contender, seed uint64) (burstResult, error) {
	jobs := burst(seed)
	s, err := run(newSimulatedCluster(burstFleet), jobs, func(c *simulatedCluster) (scheduler, error) { return of.build(c, seed) })
	if err != nil {
		return burstResult{}, err
	}
	r := burstResult{makespan: s.lastEnd(), neverStarted: s.neverStarted()}
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

// Parameters of the stream: one-node jobs keep 32 nodes busy for a day, and a gang of 24 nodes
// arrives after an hour. A scheduler that lets later jobs bypass the gang without a limit
// starves it.
const (
	streamLength  = 24 * time.Hour
	streamGang    = 24
	streamArrival = time.Hour
	// streamLoad is the demand of the small jobs, as a fraction of all nodes.
	streamLoad = 0.95
	// streamShortest and streamLongest bound the run time of each small job.
	streamShortest, streamLongest = 10 * time.Minute, 30 * time.Minute
)

func stream(seed uint64) []*job {
	random := rand.New(rand.NewPCG(seed, 17))
	gang := &job{pods: streamGang, shape: wholeNode, arrives: streamArrival, duration: time.Hour}
	jobs := []*job{gang}
	mean := (streamShortest + streamLongest) / 2
	count := int(streamLoad * float64(burstFleet.Size()) * streamLength.Seconds() / mean.Seconds())
	for range count {
		jobs = append(jobs, &job{
			pods: 1, shape: wholeNode, arrives: seconds(random.Float64() * streamLength.Seconds()),
			duration: seconds(streamShortest.Seconds() + random.Float64()*(streamLongest-streamShortest).Seconds()),
		})
	}
	slices.SortStableFunc(jobs, func(a, b *job) int { return cmp.Compare(a.arrives, b.arrives) })
	for i, j := range jobs {
		j.id = i
	}
	return jobs
}

// streamResult is the wait of the gang and the mean wait of the other jobs, in seconds.
type streamResult struct{ gang, others float64 }

func runStream(of contender, seed uint64) (streamResult, error) {
	return runStreamOf(stream(seed), func(c *simulatedCluster) (scheduler, error) { return of.build(c, seed) })
}

// The network topology case of knavigator: 3 spines of 2 leaves of 2 nodes, five busy
// nodes, and a job of 3 nodes. Only one choice of nodes is within one spine.
var (
	topologyFleet = fleet.Spec{Name: "nwtopo", Shape: fleet.NDH100v5, Spines: 3, Leaves: 2, Nodes: 2, Zone: "zone-1", PlacementGroup: "nwtopo"}
	topologyBusy  = []int{1, 3, 6, 11, 12}
	topologyBest  = []int{5, 7, 8}
)

const topologyReplicas = 3

// preset is a scheduler that binds the first jobs to the machines topologyBusy before the
// contender schedules.
type preset struct{ scheduler }

func (p preset) pass(s *sim) error {
	for _, e := range s.waiting() {
		if e.id >= len(topologyBusy) {
			return p.scheduler.pass(s)
		}
		if err := s.start(e, []nodeChoice{{machine: s.machines[topologyBusy[e.id]-1]}}); err != nil {
			return err
		}
	}
	return nil
}

// runTopology returns the numbers of the job's nodes.
func runTopology(of contender, seed uint64) ([]int, error) {
	var jobs []*job
	for i := range topologyBusy {
		jobs = append(jobs, &job{id: i, pods: 1, shape: wholeNode, duration: 24 * time.Hour})
	}
	jobs = append(jobs, &job{id: len(jobs), pods: topologyReplicas, shape: wholeNode, duration: time.Hour, arrives: time.Second})
	var chosen []int
	watch := func(c *simulatedCluster) (scheduler, error) {
		inner, err := of.build(c, seed)
		return observer{preset{inner}, func(s *sim) {
			if last := s.jobs[len(s.jobs)-1]; last.started && chosen == nil {
				for _, p := range last.pods {
					chosen = append(chosen, p.machine.index+1)
				}
			}
		}}, err
	}
	_, err := run(newSimulatedCluster(topologyFleet), jobs, watch)
	slices.Sort(chosen)
	return chosen, err
}

// observer calls a function after each pass.
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
