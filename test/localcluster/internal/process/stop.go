// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// pollInterval is the interval of checks for the end of a process.
const pollInterval = 20 * time.Millisecond

// killWait limits the wait after SIGKILL. A process that takes longer hangs in the kernel.
const killWait = 10 * time.Second

// Stop sends SIGTERM to the processes, waits for at most grace, and kills the remaining processes.
func Stop(ids []Identity, grace time.Duration) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, id.Signal(syscall.SIGTERM))
	}
	rest := wait(ids, grace)
	for _, id := range rest {
		errs = append(errs, id.Signal(syscall.SIGKILL))
	}
	for _, id := range wait(rest, killWait) {
		errs = append(errs, fmt.Errorf("process %d is still there after SIGKILL", id.PID))
	}
	return errors.Join(errs...)
}

// wait waits for the processes to end, at most limit. It returns the processes that are
// still alive.
func wait(ids []Identity, limit time.Duration) []Identity {
	deadline := time.Now().Add(limit)
	for {
		ids = alive(ids)
		if len(ids) == 0 || time.Now().After(deadline) {
			return ids
		}
		time.Sleep(pollInterval)
	}
}

func alive(ids []Identity) []Identity {
	var left []Identity
	for _, id := range ids {
		if id.Alive() {
			left = append(left, id)
		}
	}
	return left
}
