// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// BackfillReason is the reason why a gang or a pod may use nodes that are reserved for
// another gang.
type BackfillReason string

const (
	// ByLimit means that its time limit ends it before the other gang is expected to start.
	ByLimit BackfillReason = "limit"
	// ByPrediction means that it is predicted to end before the other gang is expected to start.
	ByPrediction BackfillReason = "prediction"
	// BySpare means that it uses no more of the nodes than the other gang leaves free.
	BySpare BackfillReason = "spare"
)

// forecast is the expectation when the gang with a reservation starts. It is the zero value if
// the nodes are reserved without such an expectation.
type forecast struct {
	// start is the time at which the reserved nodes are expected to have room for the gang.
	start time.Time
	// predicted is true if start depends on a prediction and not only on time limits.
	predicted bool
	// spare is what the gang leaves free on each reserved node.
	spare map[string]gangs.Capacity
	// first is the start that was expected when the first nodes were reserved.
	first time.Time
	// strict is true if only time limits count for gangs and pods that want to use the
	// reserved nodes, because predictions have delayed the gang for too long.
	strict bool
	// stale is true if a gang has ended since the nodes were chosen.
	stale bool
}

// reserve reserves the nodes that a search found for the gang, or replaces the reserved nodes
// by them.
func (t *Tracker) reserve(g *Gang, answer *Answer, now time.Time, effects *Effects) {
	r := &g.reservation
	before, again := *r, t.reserving() == g
	r.nodes, r.limit = answer.Reserve, limitOf(len(answer.Reserve), answer.Nodes)
	r.forecast = forecast{start: answer.Start, predicted: answer.Predicted, spare: answer.Spare, first: answer.Start}
	if !again {
		t.holder, r.reservedAt, effects.Reserved = g, now, len(r.nodes)
		return
	}
	if !before.forecast.first.IsZero() {
		r.forecast.first, r.forecast.strict = before.forecast.first, before.forecast.strict
	}
	effects.Activate = append(effects.Activate, t.activateDisplaced(g, &before, now)...)
}

// activateDisplaced returns the pods to activate that were refused because of reserved nodes,
// if some of these nodes are reserved no more or are reserved for a later start.
func (t *Tracker) activateDisplaced(g *Gang, before *Reservation, now time.Time) []*v1.Pod {
	released := slices.ContainsFunc(slices.Collect(maps.Keys(before.nodes)), func(node string) bool { return !g.reservation.nodes[node] })
	if !released && !g.reservation.forecast.start.After(before.forecast.start) {
		return nil
	}
	return t.retryDisplaced(now)
}

// forecastDue reports whether the nodes that are reserved for the gang must be chosen anew: a
// gang has ended since, or the expected start has passed.
func (t *Tracker) forecastDue(g *Gang, now time.Time) bool {
	r := &g.reservation
	return t.options.Backfill && t.reserving() == g && !r.forecast.start.IsZero() && now.Sub(r.searched) >= whatIfPause &&
		(r.forecast.stale || !now.Before(r.forecast.start))
}

// noteEnded records that a gang has ended, so that the reserved nodes are chosen anew.
func (t *Tracker) noteEnded() {
	if holder := t.reserving(); holder != nil {
		holder.reservation.forecast.stale = true
	}
}

// isStrict reports whether only time limits count for the use of the nodes that are reserved
// for the gang: the gang has been bypassed for twice maxBypass, or its expected start is later
// by more than maxBypass than at first.
func (t *Tracker) isStrict(r *Reservation, now time.Time) bool {
	f := &r.forecast
	f.strict = f.strict || now.Sub(r.bypassed) >= 2*t.options.MaxBypass || f.start.Sub(f.first) > t.options.MaxBypass
	return f.strict
}

// admit reports whether a gang or a pod may use any reserved node because it is expected to end
// before the holder starts. limit is its time limit, 0 for none, and members its number of
// members.
func (t *Tracker) admit(holder *Gang, limit time.Duration, members int, now time.Time) (BackfillReason, bool) {
	r := &holder.reservation
	left := r.forecast.start.Sub(now)
	if left <= 0 {
		return "", false
	}
	if limit > 0 && limit <= left {
		return ByLimit, true
	}
	if limit > 0 && limit <= t.options.MaxBypass || t.isStrict(r, now) {
		return "", false
	}
	predicted := t.runTimes.predict(sizeClass(members))
	return ByPrediction, predicted > 0 && predicted <= left
}

// restrict adds to a request the nodes that are reserved for another gang, unless this gang may
// use them because it is expected to end early enough.
func (t *Tracker) restrict(g *Gang, request *gangs.Request, now time.Time) {
	request.Reserved, request.Holder = t.reservedAgainst(g)
	if request.Reserved == nil || !t.options.Backfill {
		return
	}
	holder := t.reserving()
	limit := request.Gang.RunTimeWith(request.Members).Limit.Duration
	if reason, ok := t.admit(holder, limit, len(request.Members), now); ok {
		request.Reserved = nil
		g.backfill = reason
		return
	}
	g.backfill = BySpare
	request.Spare = holder.reservation.forecast.spare
}

// noteBackfill handles the placement of a gang on nodes that are reserved for another gang: it
// subtracts what the gang takes from what that one leaves free. It returns the reason why the
// gang may use these nodes, "" if it uses none.
func (t *Tracker) noteBackfill(g *Gang, plan *gangs.Assignment) BackfillReason {
	nodes, _ := t.reservedAgainst(g)
	uses := slices.DeleteFunc(slices.Collect(maps.Keys(plan.Nodes)), func(uid types.UID) bool { return !nodes[plan.Nodes[uid]] })
	if len(uses) == 0 {
		return ""
	}
	if g.backfill == BySpare {
		f := &t.reserving().reservation.forecast
		f.spare = maps.Clone(f.spare) // a plan may be reading the map
		for _, uid := range uses {
			f.spare[plan.Nodes[uid]] = lessCapacity(f.spare[plan.Nodes[uid]], plan.Needs[uid])
		}
	}
	return g.backfill
}

// lessCapacity returns what is left of a node's capacity for others once a pod with this need is
// on the node. Devices are taken from the first kinds that have some left.
func lessCapacity(from, need gangs.Capacity) gangs.Capacity {
	left := gangs.Capacity{Resources: maps.Clone(from.Resources), Devices: slices.Clone(from.Devices)}
	for name, amount := range need.Resources {
		left.Resources[name] = max(0, left.Resources[name]-amount)
	}
	for _, want := range need.Devices {
		count := want.Count
		for i := range left.Devices {
			if d := &left.Devices[i]; len(d.Kinds) == 1 && slices.Contains(want.Kinds, d.Kinds[0]) {
				taken := min(count, d.Count)
				d.Count, count = d.Count-taken, count-taken
			}
		}
	}
	return left
}
