// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"slices"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// PartialGangs returns the gangs that run without their quorum (the members that must run
// together) while other members wait, sorted by key. Only its first call returns any:
// after a start these are the gangs whose binding a crash interrupted. From now on they count
// as gangs that lost members.
func (t *Tracker) PartialGangs(now time.Time) []gangs.Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.recovered {
		return nil
	}
	t.recovered = true
	var keys []gangs.Key
	for key, g := range t.gangs {
		if g.podGroup != nil || g.attempt != nil || len(g.pending()) == 0 {
			continue
		}
		if declared, readiness, err := g.read(); err == nil && g.running > 0 && readiness.Placed < declared.Min {
			keys = append(keys, key)
			if g.loss.since.IsZero() {
				g.loss.since = now
			}
		}
	}
	slices.SortFunc(keys, gangs.CompareKeys)
	return keys
}

// IsPartial reports whether members of the request's gang run but are too few for its
// quorum, with the members that have succeeded (done) counted.
func IsPartial(request *gangs.Request, done []gangs.Member) bool {
	return len(request.Placed) > 0 && !request.Gang.Quorate(slices.Concat(request.Members, done), isPlaced)
}
