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
	// defaultPlacement far exceeds the time in which a healthy scheduler places a gang whose
	// victims are gone.
	defaultPlacement = time.Minute
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
	// Placement is how long after the end of its victims (the pods evicted for it) a gang may
	// stay without its minimum, and how long the room of the victims is kept for it. The default
	// is a minute.
	Placement time.Duration
	// MinRuntime is the scheduler's argument minRuntime: no gang and no pod that has run for a
	// shorter time is evicted for another. The default is 0.
	MinRuntime time.Duration
}

func (o Options) withDefaults() Options {
	if len(o.SchedulerNames) == 0 {
		o.SchedulerNames = []string{"dovetail", "scheduler-plugins-scheduler"}
	}
	o.Grace = cmp.Or(o.Grace, defaultGrace)
	o.Settle = cmp.Or(o.Settle, defaultSettle)
	o.Placement = cmp.Or(o.Placement, defaultPlacement)
	return o
}
