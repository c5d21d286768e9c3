// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import "time"

// outage is a time in which a server is down or a watch of the checker is broken. to is zero
// until it ends.
type outage struct{ from, to time.Time }

// outages are in order of time.
type outages struct {
	list []outage
	// down counts the causes of the present outage.
	down int
}

// begin and end may be nested: an outage ends when every server and watch works again.
func (o *outages) begin(now time.Time) {
	if o.down++; o.down == 1 {
		o.list = append(o.list, outage{from: now})
	}
}

func (o *outages) end(now time.Time) {
	if o.down--; o.down == 0 {
		o.list[len(o.list)-1].to = now
	}
}

// uptime is the time between two moments without the outages between them.
func (o *outages) uptime(from, now time.Time) time.Duration {
	up := now.Sub(from)
	for i := len(o.list) - 1; i >= 0; i-- {
		part := o.list[i]
		if part.to.IsZero() {
			part.to = now
		}
		if !part.to.After(from) {
			break
		}
		up -= part.to.Sub(latest(part.from, from))
	}
	return up
}
