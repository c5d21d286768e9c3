// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import "time"

// Options describe a run.
type Options struct {
	// Seed determines the gangs and the faults.
	Seed uint64
	// Faults is the number of faults to cause.
	Faults int
	// Replicas is the number of replicas of Dovetail, 1 or 2.
	Replicas int
	// Kinds are the kinds of faults to cause; none means all.
	Kinds []string
	// Calm is the number of faults after which a run pauses until all gangs are bound again.
	Calm int
	// Limit is the time after which no further fault happens, whatever their number.
	Limit time.Duration
}
