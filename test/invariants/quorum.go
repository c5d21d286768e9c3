// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"time"
)

// recordQuorum remembers that a gang met its minimum, and forgets it when the gang
// holds nothing any more.
func (j *judge) recordQuorum(g *gang) {
	if g.holding() == 0 {
		g.quorumMet, g.reported = false, false
		return
	}
	declared, known := j.declaration(g)
	if known && !declared.ended && declared.least.metBy(g.placed()) {
		g.quorumMet, g.reported = true, false
	}
}

// judgeQuorum is I1: a gang that holds nodes is, or was, whole.
func (j *judge) judgeQuorum(g *gang, now time.Time) {
	if g.reported || g.quorumMet || now.Sub(g.lastBind) <= j.grace {
		return
	}
	holding := g.holding()
	if holding == 0 {
		return
	}
	declared, known := j.declaration(g)
	switch {
	case !known && g.key.source == fromLabel:
		g.reported = true
		j.report(AllOrNothing, now, fmt.Sprintf("gang %s: %d pods are bound though none says how many belong to it", g.key, holding), g.evidence())
	case !known && (g.key.source == fromCoscheduling || g.key.source == fromPodGroup):
		g.reported = true
		j.report(AllOrNothing, now, fmt.Sprintf("gang %s: %d pods are bound though there is no such PodGroup", g.key, holding), g.evidence())
	case !known || declared.ended:
		// The owner is gone or going, and its pods follow.
	default:
		g.reported = true
		j.report(AllOrNothing, now, fmt.Sprintf("gang %s: bound below its minimum (%s), %s after its last binding",
			g.key, declared.least.compared(g.placed()), elapsed(now.Sub(g.lastBind))), g.evidence())
	}
}
