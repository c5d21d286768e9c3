// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// limits sets the declared time limits of a trace's jobs. longest is the longest duration of
// any job.
type limits func(jobs []*job, seed uint64, longest time.Duration)

// noLimits declares none.
func noLimits([]*job, uint64, time.Duration) {}

// honestLimits declares for each job between its run time and twice its run time.
func honestLimits(jobs []*job, seed uint64, _ time.Duration) {
	random := rand.New(rand.NewPCG(seed, 19))
	for _, j := range jobs {
		j.limit = j.duration + seconds(j.duration.Seconds()*random.Float64())
	}
}

// modalLimits declares for half of the jobs the longest duration, as users do who keep a
// default, and for the others an honest limit.
func modalLimits(jobs []*job, seed uint64, longest time.Duration) {
	honestLimits(jobs, seed, longest)
	random := rand.New(rand.NewPCG(seed, 23))
	for _, j := range jobs {
		if random.IntN(2) == 0 {
			j.limit = longest
		}
	}
}

// durations is a source of the jobs' run times.
type durations struct {
	name string
	// longest is the longest run time. Longer ones are cut.
	longest time.Duration
	draw    func(*rand.Rand) time.Duration
}

var (
	acme   = durations{"acme", longest, drawDuration}
	philly = durations{"philly", phillyLongest, drawPhilly}
)

// phillyLongest limits the run times of Philly, of which some are longer than a month, so a
// trace of days reaches a steady state.
const phillyLongest = 24 * time.Hour

// phillyQuantiles are run times of 83,154 jobs of Microsoft's trace Philly (Jeon et al., ATC
// '19; CC BY 4.0), as fractions of the jobs and seconds.
var phillyQuantiles = []struct{ fraction, seconds float64 }{
	{0, 1}, {0.01, 17}, {0.05, 48}, {0.10, 61}, {0.20, 76}, {0.30, 229}, {0.40, 630}, {0.50, 1186}, {0.60, 1871}, {0.70, 2590},
	{0.75, 3342}, {0.80, 4700}, {0.85, 6300}, {0.90, 12860}, {0.92, 18843}, {0.95, 49969}, {0.97, 101884}, {0.98, 167785},
	{0.99, 287333}, {0.995, 484829}, {0.999, 1361908}, {1, 4628239},
}

// drawPhilly draws from the distribution with these quantiles. Between two of them the
// logarithm of the run time is evenly distributed.
func drawPhilly(random *rand.Rand) time.Duration {
	fraction := random.Float64()
	for i := 1; i < len(phillyQuantiles); i++ {
		low, high := phillyQuantiles[i-1], phillyQuantiles[i]
		if fraction > high.fraction {
			continue
		}
		within := (fraction - low.fraction) / (high.fraction - low.fraction)
		drawn := math.Exp(math.Log(low.seconds)*(1-within) + math.Log(high.seconds)*within)
		return min(phillyLongest, max(time.Second, seconds(math.Min(drawn, phillyLongest.Seconds()))))
	}
	return phillyLongest
}
