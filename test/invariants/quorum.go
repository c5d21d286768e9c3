// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"time"
)

// recordQuorum records that a gang met its minimum, and resets the record when the gang
// holds no node.
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

// judgeQuorum checks I1: a gang that holds nodes meets its minimum or has met it.
func (j *judge) judgeQuorum(g *gang, now time.Time) {
	if g.reported || g.quorumMet || j.uptime(g.lastBind, now) <= j.grace {
		return
	}
	holding := g.holding()
	if holding == 0 {
		return
	}
	declared, known := j.declaration(g)
	switch {
	case !known && declaredByPod[g.key.source] != nil:
		g.reported = true
		j.report(AllOrNothing, now, fmt.Sprintf("gang %s: %d pods are bound but no pod declares the size of the gang", g.key, holding), g.evidence())
	case !known && (g.key.source == fromCoscheduling || g.key.source == fromPodGroup || g.key.source == fromVolcano):
		g.reported = true
		j.report(AllOrNothing, now, fmt.Sprintf("gang %s: %d pods are bound though there is no such PodGroup", g.key, holding), g.evidence())
	case !known || declared.ended:
		// The owner is deleted or being deleted. The garbage collector deletes the owner's
		// pods.
	default:
		g.reported = true
		j.report(AllOrNothing, now, fmt.Sprintf("gang %s: bound below its minimum (%s), %s after its last binding",
			g.key, declared.least.compared(g.placed()), elapsed(now.Sub(g.lastBind))), g.evidence())
	}
}
