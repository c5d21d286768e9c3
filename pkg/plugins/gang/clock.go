// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
)

// clockPeriod is how exact healAfter and maxBypass are. No event says that time
// has passed.
const clockPeriod = time.Second

// watchTheClock wakes those for whom something changed because time passed.
func (g *Gang) watchTheClock(ctx context.Context) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		now := time.Now()
		g.evictDue(ctx, now)
		g.activate(g.book.tick(g.args, now))
		if g.book.lapsed(now) {
			g.wakeGroups()
		}
	}, clockPeriod)
}

// tick returns the members to wake at this moment: of refused gangs whose turn or
// healing has come, of those that were held back for a turn that is over, and of
// those whose eviction has ended.
func (b *book) tick(args *config.GangArgs, now time.Time) []*v1.Pod {
	b.mu.Lock()
	defer b.mu.Unlock()
	wake := b.endTurn(now)
	for _, rec := range b.records {
		switch {
		case rec.loss.healing:
			if _, _, err := b.look(rec); err == nil && !rec.loss.healing {
				wake = append(wake, b.healed(rec)...)
			}
		case rec.verdict == nil || !rec.whole:
		case rec.lossDue(args.HealAfter, now), rec.turnDue(b, args.MaxBypass, now):
			wake = append(wake, rec.askAgain()...)
		}
	}
	return wake
}

// askAgain drops the answer "no" and has one member ask for all.
func (r *record) askAgain() []*v1.Pod {
	probe := r.nextProbe()
	if len(probe) > 0 {
		r.verdict, r.replans, r.limits = nil, 0, nil
	}
	return probe
}
