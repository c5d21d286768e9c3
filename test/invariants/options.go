// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"cmp"
	"time"
)

const (
	// defaultGrace far exceeds the pause of a healthy scheduler between two binds of a
	// gang, and is short enough for a test to wait.
	defaultGrace = 10 * time.Second
	// defaultSettle far exceeds the lag between two watches of an API server.
	defaultSettle = 2 * time.Second
	// tick is the interval of time-based checks. It limits the delay of a report.
	tick = 100 * time.Millisecond
	// syncTimeout limits how long the start of a checker waits for the first list of each kind
	// of object that it watches.
	syncTimeout = time.Minute
)

// Options select the schedulers to judge and the time limits. The zero value
// judges Dovetail.
type Options struct {
	// SchedulerNames are the schedulers whose pods are judged. The default is the
	// two profiles of Dovetail.
	SchedulerNames []string
	// Grace is how long a gang may stay bound below its minimum without another binding,
	// and how long a waiting pod may hold a device. The default is 10 s.
	Grace time.Duration
	// Settle is the lag allowed between two watches of different kinds. The default is 2 s.
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
