// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"slices"
)

// probeSteps is the number of steps of Options.ClearBudget that Clear counts for a plan, besides
// the plan's own search steps and the steps for the usages that become free.
const probeSteps = 256

// usesPerStep is the number of usages (what an occupant takes of one node) that Clear adds to
// free amounts for one step of Options.ClearBudget.
const usesPerStep = 4

// prober is one call of Clear. It plans the gang on nodes without some of the occupants (sets of
// running pods) that use them.
type prober struct {
	// snap is the snapshot without the occupants that leave already.
	snap      *Snapshot
	gang      *Gang
	occupants []Occupant
	fits      FitsWithout
	options   Options
	// leaving has the ascending indices of the occupants whose pods are already being deleted.
	leaving []int
	// victims has the other occupants: those that Clear may evict.
	*victims
	stats ClearStats
	// exhausted is true if a plan used up its step budget: it may have missed a placement.
	exhausted bool
	// answers caches the results of fits, by the occupants that are gone and the arguments.
	answers map[string]map[fitsCall]bool
}

// placement is the result of a plan: whether the gang has a placement, the cost of the
// placement, and the positions of its nodes.
type placement struct {
	placed bool
	cost   []int64
	nodes  []int32
}

// without returns the snapshot of the cluster without a set of victims.
func (w *prober) without(gone []bool) *Snapshot {
	var freed []usageAt
	for i, is := range gone {
		if is {
			freed = append(freed, w.list[i].uses...)
		}
	}
	w.stats.Steps += len(freed) / usesPerStep
	return w.snap.freeing(freed).Freeze()
}

// plan returns the Decision about the gang while a set of victims is gone. s is the snapshot
// without them.
func (w *prober) plan(s *Snapshot, gone []bool) Decision {
	w.stats.Plans++
	return Plan(s, *w.gang, w.asking(gone), w.options)
}

// probe plans the gang while a set of victims is gone, and calls the filters only if ask is
// true. For a gang without alternative needs, it omits two steps of Plan: it explains no
// failure, and it places no members beyond the quorum.
func (w *prober) probe(gone []bool, ask bool) placement {
	return w.probeOn(w.without(gone), gone, ask)
}

// probeOn does what probe does. s is the snapshot without the set of victims.
func (w *prober) probeOn(s *Snapshot, gone []bool, ask bool) placement {
	w.stats.Plans++
	w.stats.Steps += probeSteps
	fits := Fits(nil)
	if ask {
		fits = w.asking(gone)
	}
	if w.gang.hasAlternatives() {
		return w.byDecision(s, Plan(s, *w.gang, fits, w.options))
	}
	var stats Stats
	p, reason := compile(s, w.gang, fits, w.options, &stats)
	if reason != nil {
		return placement{}
	}
	quorums := quorumSearch{p: p}
	c, proven := quorums.choose()
	w.stats.Steps += p.steps
	if c == nil {
		w.exhausted = w.exhausted || !proven
		return placement{}
	}
	out := placement{placed: true, cost: c.cost}
	for _, at := range c.places {
		out.nodes = append(out.nodes, at.pos)
	}
	return out
}

// byDecision returns the placement in a Decision.
func (w *prober) byDecision(s *Snapshot, d Decision) placement {
	w.stats.Steps += d.Stats.Steps
	w.exhausted = w.exhausted || d.Exhausted
	out := placement{placed: d.Placed}
	for _, a := range d.Assignments {
		if pos, ok := s.fabric.pos(a.Node); ok {
			out.nodes = append(out.nodes, pos)
		}
	}
	for _, t := range d.Cost {
		out.cost = append(out.cost, t.Value)
	}
	return out
}

// indices returns the ascending indices, in the caller's list of occupants, of the occupants
// that leave already and of the victims in a set.
func (w *prober) indices(gone []bool) []int {
	out := slices.Clone(w.leaving)
	for i, is := range gone {
		if is {
			out = append(out, w.list[i].index)
		}
	}
	slices.Sort(out)
	return out
}

// asking returns the caller's filters for the case that a set of victims is gone. It never
// calls them twice with the same arguments.
func (w *prober) asking(gone []bool) Fits {
	if w.fits == nil {
		return nil
	}
	indices := w.indices(gone)
	var key []byte
	for _, i := range indices {
		key = binary.LittleEndian.AppendUint32(key, uint32(i))
	}
	answers := w.answers[string(key)]
	if answers == nil {
		answers = map[fitsCall]bool{}
		w.answers[string(key)] = answers
	}
	return func(role int, node string, already int) bool {
		call := fitsCall{role, node, already}
		fits, asked := answers[call]
		if !asked {
			w.stats.FitsCalls++
			fits = w.fits(indices, role, node, already)
			answers[call] = fits
		}
		return fits
	}
}
