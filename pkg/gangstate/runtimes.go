// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"math/bits"
	"slices"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	// maxRunTimes is how many run times are kept for each size class.
	maxRunTimes = 200
	// minRunTimes is how many run times of a size class must be known for a prediction.
	minRunTimes = 10
	// minLonger is how many of them must be longer than a gang has been running, for a
	// prediction of the rest of its run time.
	minLonger = 5
	// predictedPercent is the percentile of these run times that is the prediction.
	predictedPercent = 75
)

// runTimes has the last run times of gangs that ended, by size class: gangs of 1, 2 to 3,
// 4 to 7, ... members. They predict how long a gang runs that has no limit. The predictions
// are lost when the process ends.
type runTimes map[int]*recentRunTimes

// sizeClass returns the size class of a gang with that many members.
func sizeClass(members int) int { return bits.Len(uint(members)) }

// add records the run time of a gang that ended.
func (r runTimes) add(class int, ran time.Duration) {
	if r[class] == nil {
		r[class] = &recentRunTimes{}
	}
	r[class].add(ran)
}

// predict returns how long a gang of the size class is predicted to run. It returns 0 if too
// few run times are known.
func (r runTimes) predict(class int) time.Duration {
	recent := r[class]
	if recent == nil || len(recent.sorted) < minRunTimes {
		return 0
	}
	return recent.sorted[len(recent.sorted)*predictedPercent/100]
}

// remaining returns how much longer pods of a size class are predicted to run that have been
// running for so long: as long as most of the pods that ran longer, or, if too few are known,
// as long again.
func (r *recentRunTimes) remaining(running time.Duration) time.Duration {
	if r == nil {
		return running
	}
	at, _ := slices.BinarySearch(r.sorted, running+1)
	longer := r.sorted[at:]
	if len(longer) < minLonger {
		return running
	}
	return longer[len(longer)*predictedPercent/100] - running
}

// recentRunTimes has the last run times of one size class.
type recentRunTimes struct {
	// ring has the run times in the order in which they were added. If it is full, the oldest
	// is at index next.
	ring []time.Duration
	next int
	// sorted has the same run times in ascending order.
	sorted []time.Duration
}

// clone returns a copy, nil for nil.
func (r *recentRunTimes) clone() *recentRunTimes {
	if r == nil {
		return nil
	}
	return &recentRunTimes{ring: slices.Clone(r.ring), next: r.next, sorted: slices.Clone(r.sorted)}
}

func (r *recentRunTimes) add(ran time.Duration) {
	if len(r.ring) < maxRunTimes {
		r.ring = append(r.ring, ran)
	} else {
		at, _ := slices.BinarySearch(r.sorted, r.ring[r.next])
		r.sorted = slices.Delete(r.sorted, at, at+1)
		r.ring[r.next] = ran
		r.next = (r.next + 1) % maxRunTimes
	}
	at, _ := slices.BinarySearch(r.sorted, ran)
	r.sorted = slices.Insert(r.sorted, at, ran)
}

// run is the time for which a gang has been running.
type run struct {
	// active is the number of members that are on nodes and have not ended. most is the
	// largest number since the gang began to run.
	active, most int
	// began is the time at which the gang began to run, zero if it does not run.
	began time.Time
}

// occupies reports whether the member takes up room on a node.
func occupies(m gangs.Member) bool {
	return m.Pod != nil && gangs.Live(m.Pod) && gangs.Placed(m.Pod) && !isDone(m.Pod)
}
