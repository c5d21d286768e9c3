// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// lost describes a gang that runs without its quorum (the members that must run
// together), for the question whether the whole gang must move. It returns nil if the
// gang need not or cannot move.
func (t *Tracker) lost(g *Gang, now time.Time) *Lost {
	if t.options.HealAfter == 0 || g.loss.since.IsZero() || g.attempt != nil {
		return nil
	}
	declared, readiness, err := g.read()
	if err != nil || g.tooFewExist(declared, readiness) || g.loss.since.IsZero() {
		return nil // a gang with too few pods for its quorum cannot be placed anywhere
	}
	lost := &Lost{due: g.loss.due(t.options.HealAfter, now), Left: g.runners(declared)}
	lost.unowned = unowned(lost.Left)
	lost.Search = lost.due && lost.unowned == ""
	lost.Request = t.wholeRequest(g, declared)
	return lost
}

// wholeRequest returns the request for a gang as if none of its members had a node.
func (t *Tracker) wholeRequest(g *Gang, declared gangs.Gang) gangs.Request {
	request := gangs.Request{Gang: declared, Placed: map[types.UID]string{}, Done: map[string]int{}, Holds: t.holds(g.key, g.priority)}
	for _, m := range g.sorted() {
		switch {
		case !declared.Has(m) || !gangs.Live(m.Pod):
		case isDone(m.Pod):
			request.Done[m.Role]++
		case gangs.Placed(m.Pod) || m.Ready():
			request.Members = append(request.Members, m)
		}
	}
	return request
}

// resolveWhatIf handles a plan that found no room. A gang that lost members may have to
// move to other nodes. A gang that does not run yet may get reserved nodes. It returns
// the text to append to the gang's message.
func (t *Tracker) resolveWhatIf(g *Gang, question *Question, answer *Answer, now time.Time, effects *Effects) string {
	switch {
	case answer.HeldBack:
		g.reservation.displaced = true
		return ""
	case !answer.Searched:
		return ""
	}
	terminating := gangs.Terminating(question.Gang, slices.Collect(maps.Values(g.members)))
	if question.Lost != nil {
		return terminating + t.resolveLost(g, question.Lost, answer.FitsElsewhere, now, effects)
	}
	return terminating + t.block(g, question.Reserve, answer, now, effects)
}

// resolveLost decides whether to evict the remaining members of a gang that lost members;
// fits reports whether the whole gang fits elsewhere. It returns the text to append to
// the gang's message.
func (t *Tracker) resolveLost(g *Gang, lost *Lost, fits bool, now time.Time, effects *Effects) string {
	left, after := len(lost.Left), t.options.HealAfter
	if lost.due {
		g.loss.searched = now
	}
	switch {
	case lost.unowned != "":
		return fmt.Sprintf("; %s, because no controller would replace pod %s", stay(left), lost.unowned)
	case !lost.due:
		return fmt.Sprintf("; if nothing changes within healAfter (%v), %s evicted to place the gang whole elsewhere",
			after, counted(left, "its one member that runs is", "the %d members that run are"))
	case !fits:
		return fmt.Sprintf("; %s, because the whole gang fits nowhere else either", stay(left))
	}
	if !g.loss.since.IsZero() && !g.loss.evicting && g.attempt == nil {
		g.loss.begin(after)
		g.quorumReady = false
		effects.Evicting = append(effects.Evicting, g.key)
	}
	return ""
}

// block records that there is no room for a gang, and reserves the nodes that a search
// found for it (answer.Reserve). It returns the text to append to the gang's message.
func (t *Tracker) block(g *Gang, searched bool, answer *Answer, now time.Time, effects *Effects) string {
	if g.running > 0 || t.options.MaxBypass == 0 {
		return ""
	}
	g.reservation.blocked = true
	if t.reserving() == g {
		g.reservation.dropMissing(t.options.NodeExists)
	}
	if searched && t.reserving() == nil {
		g.reservation.searched = now
		if found := answer.Reserve; len(found) > 0 {
			g.reservation.nodes, g.reservation.reservedAt, g.reservation.limit = found, now, limitOf(len(found), answer.Nodes)
			t.holder = g
			effects.Reserved = len(found)
		}
	}
	if t.reserving() != g {
		return ""
	}
	return fmt.Sprintf("; %s reserved for it, because later gangs have bypassed it for longer than maxBypass (%v)",
		counted(len(g.reservation.nodes), "1 node is", "%d nodes are"), t.options.MaxBypass)
}

// evictingSentence returns the sentence for a gang whose members are being evicted, or "".
func (g *Gang) evictingSentence() string {
	if !g.loss.evicting {
		return ""
	}
	text := fmt.Sprintf("gang %s lost members and found no room for others within healAfter (%v): %s being evicted, so that it is placed whole elsewhere",
		g.key, g.loss.after, counted(g.running, "the one that is left is", "the %d that are left are"))
	if g.partial.unfinished() {
		text = fmt.Sprintf("gang %s could not bind all its members within healAfter (%v): %s being evicted, so that it is placed whole; %s",
			g.key, g.loss.after, counted(g.running, "the one that is bound is", "the %d that are bound are"), g.partial.failure)
	}
	if g.loss.blocked != "" {
		text += "; " + g.loss.blocked
	}
	return text
}
