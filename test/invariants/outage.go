// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// attemptTimeout limits one list during an outage. A paused API server accepts connections
// and answers nothing.
const attemptTimeout = 5 * time.Second

// outage is a time in which a server is down or a watch of the checker is broken. to is zero
// until it ends.
type outage struct{ from, to time.Time }

// outageBegins and outageEnds nest: the outage ends when every server and watch is back.
func (j *judge) outageBegins(now time.Time) {
	if j.down++; j.down == 1 {
		j.outages = append(j.outages, outage{from: now})
	}
}

func (j *judge) outageEnds(now time.Time) {
	if j.down--; j.down == 0 {
		j.outages[len(j.outages)-1].to = now
	}
}

// uptime is the time between two moments without the outages between them.
func (j *judge) uptime(from, now time.Time) time.Duration {
	up := now.Sub(from)
	for i := len(j.outages) - 1; i >= 0; i-- {
		o := j.outages[i]
		if o.to.IsZero() {
			o.to = now
		}
		if !o.to.After(from) {
			break
		}
		up -= o.to.Sub(latest(o.from, from))
	}
	return up
}

// ServerDown tells the checker that a server is down. Until the returned function returns, no
// time counts toward Grace and Settle. Call that function when the server is up again. It
// waits until the checker has received all objects that then exist.
func (c *Checker) ServerDown() (up func(context.Context) error) {
	c.beginOutage()
	return func(ctx context.Context) error {
		defer c.endOutage()
		var last error
		err := wait.PollUntilContextCancel(ctx, tick, true, func(ctx context.Context) (bool, error) {
			attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			last = c.catchUp(attempt)
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("waiting for the invariant checker after an outage: %w: %w", err, last)
		}
		return nil
	}
}

func (c *Checker) beginOutage() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.judge.outageBegins(time.Now())
}

func (c *Checker) endOutage() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.judge.outageEnds(time.Now())
}
