// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Sizes and durations follow the trace "Seren" of Acme (Shanghai AI Laboratory,
// NSDI'24), whose summary gives, for 663,813 GPU jobs, 5.68 GPUs a job on average
// and 1 in the median, and a run time of 1,414 s on average and 122 s in the
// median. README.md says what is ours.
const (
	medianSeconds = 122.0
	meanSeconds   = 1414.335
	// longest cuts the tail off, so that a trace of hours comes to a steady state.
	longest = 4 * time.Hour
)

// sizes is how many of a thousand jobs take so many GPUs: 5.7 on average.
var sizes = []struct{ gpus, perMille int }{
	{1, 602}, {2, 90}, {4, 80}, {8, 158}, {16, 30}, {32, 20}, {64, 12}, {128, 5}, {256, 3},
}

const (
	// gpuOnlyPercent of the jobs below 8 GPUs are one pod without NICs:
	// notebooks, evaluation, inference. The others are workers with a pair each.
	gpuOnlyPercent = 60
	// wholePercent of the jobs from 8 GPUs up are pods that take a whole node.
	// The others are smaller workers, as Ray has them.
	wholePercent = 70
)

// smallWorkers are the GPUs of pods that take part of a node.
var smallWorkers = []int{1, 2, 4}

// newTrace makes count jobs that ask, while they arrive, for the load's share of
// so many GPUs. Arrivals are spread evenly at random.
func newTrace(seed uint64, count int, load float64, gpus int64) []*job {
	random := rand.New(rand.NewPCG(seed, 7))
	jobs := make([]*job, count)
	var work float64
	for i := range jobs {
		jobs[i] = newJob(random)
		work += jobs[i].work()
	}
	horizon := work / (load * float64(gpus))
	for _, j := range jobs {
		j.arrives = seconds(random.Float64() * horizon)
	}
	slices.SortStableFunc(jobs, func(a, b *job) int { return cmp.Compare(a.arrives, b.arrives) })
	for i, j := range jobs {
		j.id = i
	}
	return jobs
}

func newJob(random *rand.Rand) *job {
	gpus := drawSize(random)
	j := &job{pods: 1, lasts: drawDuration(random)}
	switch {
	case gpus < 8 && random.IntN(100) < gpuOnlyPercent:
		j.shape = shape{gpus: gpus}
	case gpus < 8:
		j.pods, j.shape = gpus, shape{gpus: 1, nics: 1}
	case random.IntN(100) < wholePercent:
		j.pods, j.shape = gpus/8, shape{gpus: 8, nics: 8}
	default:
		each := smallWorkers[random.IntN(len(smallWorkers))]
		j.pods, j.shape = gpus/each, shape{gpus: each, nics: each}
	}
	return j
}

func drawSize(random *rand.Rand) int {
	n := random.IntN(1000)
	for _, size := range sizes {
		if n -= size.perMille; n < 0 {
			return size.gpus
		}
	}
	return 1
}

// drawDuration is lognormal: its median and its mean say all about it.
func drawDuration(random *rand.Rand) time.Duration {
	sigma := math.Sqrt(2 * math.Log(meanSeconds/medianSeconds))
	return min(longest, max(time.Second, seconds(medianSeconds*math.Exp(sigma*random.NormFloat64()))))
}

// seconds rounds, so that sums do not depend on how floats are added up.
func seconds(s float64) time.Duration {
	return time.Duration(math.Round(s)) * time.Second
}
