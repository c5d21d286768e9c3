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

// Sizes and durations follow the trace "Seren" of Acme (Shanghai AI Laboratory, NSDI'24).
// For 663,813 GPU jobs its summary gives 5.68 GPUs per job on average and 1 in the median,
// and a run time of 1,414 s on average and 122 s in the median. README.md lists the
// assumptions of this benchmark.
const (
	medianSeconds = 122.0
	meanSeconds   = 1414.335
	// longest limits the duration of jobs, so a trace of hours reaches a steady state.
	longest = 4 * time.Hour
)

// sizes is the distribution of jobs by GPUs, per thousand. The mean is 5.7 GPUs.
var sizes = []struct{ gpus, perMille int }{
	{1, 602}, {2, 90}, {4, 80}, {8, 158}, {16, 30}, {32, 20}, {64, 12}, {128, 5}, {256, 3},
}

const (
	// gpuOnlyPercent is the percentage of jobs below 8 GPUs that are one pod without NICs:
	// notebooks, evaluation, inference. The others have workers with a GPU and NIC pair
	// each.
	gpuOnlyPercent = 60
	// wholePercent is the percentage of jobs from 8 GPUs up that have pods of all 8 GPUs of
	// a node. The others have smaller workers, as Ray jobs often do.
	wholePercent = 70
)

// smallWorkers are the GPU counts of pods that use part of a node.
var smallWorkers = []int{1, 2, 4}

// newTrace returns count jobs. Their demand while they arrive is the load's fraction of the
// GPUs. Arrivals are uniformly random.
func newTrace(seed uint64, count int, load float64, gpus int64) []*job {
	return newTraceOf(drawDuration, seed, count, load*float64(gpus))
}

// newTraceOf is newTrace with another source of durations. busy is the number of GPUs that the
// jobs demand while they arrive.
func newTraceOf(draw func(*rand.Rand) time.Duration, seed uint64, count int, busy float64) []*job {
	random := rand.New(rand.NewPCG(seed, 7))
	jobs := make([]*job, count)
	var work float64
	for i := range jobs {
		jobs[i] = newJob(random, draw)
		work += jobs[i].work()
	}
	horizon := work / busy
	for _, j := range jobs {
		j.arrives = seconds(random.Float64() * horizon)
	}
	slices.SortStableFunc(jobs, func(a, b *job) int { return cmp.Compare(a.arrives, b.arrives) })
	for i, j := range jobs {
		j.id = i
	}
	return jobs
}

func newJob(random *rand.Rand, draw func(*rand.Rand) time.Duration) *job {
	gpus := drawSize(random)
	j := &job{pods: 1, duration: draw(random)}
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

// drawDuration draws from the lognormal distribution with the trace's median and mean.
func drawDuration(random *rand.Rand) time.Duration {
	sigma := math.Sqrt(2 * math.Log(meanSeconds/medianSeconds))
	return min(longest, max(time.Second, seconds(medianSeconds*math.Exp(sigma*random.NormFloat64()))))
}

// seconds rounds to full seconds. Sums of full seconds do not depend on the order of
// addition.
func seconds(s float64) time.Duration {
	return time.Duration(math.Round(s)) * time.Second
}
