// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"cmp"
	"time"
)

const (
	// defaultGrace is far longer than a healthy scheduler pauses between two binds
	// of a gang, and short enough for a test to wait for.
	defaultGrace = 10 * time.Second
	// defaultSettle is far longer than two watches of one API server are apart.
	defaultSettle = 2 * time.Second
	// tick is how often passing time is judged; it bounds how late a report is.
	tick = 100 * time.Millisecond
	// syncTimeout is how long the first lists may take.
	syncTimeout = time.Minute
)

// Options say whom to judge and how patiently. The zero value judges Dovetail.
type Options struct {
	// SchedulerNames are the schedulers whose pods are judged; by default the two
	// profiles that Dovetail serves.
	SchedulerNames []string
	// Grace is how long a gang may stay bound below its minimum without another
	// binding, and how long a waiting pod may hold a device; 10 s by default.
	Grace time.Duration
	// Settle is how far two watches of different kinds may be apart; 2 s by default.
	Settle time.Duration
}

func (o Options) withDefaults() Options {
	if len(o.SchedulerNames) == 0 {
		o.SchedulerNames = []string{"dovetail", "scheduler-plugins-scheduler"}
	}
	o.Grace = cmp.Or(o.Grace, defaultGrace)
	o.Settle = cmp.Or(o.Settle, defaultSettle)
	return o
}
