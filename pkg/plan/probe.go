// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"slices"
)

// probeSteps is what a plan of Clear costs of Options.ClearBudget, besides its own steps and
// the nodes that its victims free.
const probeSteps = 256

// usesPerStep is the number of usages that cost a step of Options.ClearBudget to add.
const usesPerStep = 4

// world is the input of Clear, compiled: a gang, the nodes, and the occupants that use them.
type world struct {
	// snap is the snapshot without the occupants that leave already.
	snap      *Snapshot
	gang      *Gang
	occupants []Occupant
	fits      FitsWithout
	options   Options
	// leaving are the ascending indices of the occupants that leave already.
	leaving []int
	*victims
	stats ClearStats
	// exhausted is true if some plan used up its step budget: the world may hold placements
	// that no plan found.
	exhausted bool
	// answers caches the results of FitsWithout by the occupants that are gone and the call.
	answers map[string]map[fitsCall]bool
}

// placement is the result of a plan: whether it has a placement, the cost of this, and the
// positions of the nodes that it uses.
type placement struct {
	placed bool
	cost   []int64
	nodes  []int32
}

// without returns the snapshot as it is when a set of victims is gone.
func (w *world) without(gone []bool) *Snapshot {
	var freed []usageAt
	for i, is := range gone {
		if is {
			freed = append(freed, w.list[i].uses...)
		}
	}
	fork := w.snap.Fork()
	fork.give(freed)
	w.stats.Steps += len(freed) / usesPerStep
	return fork.Freeze()
}

// plan returns the Decision for a set of victims that are gone. s is the snapshot without
// them.
func (w *world) plan(s *Snapshot, gone []bool) Decision {
	w.stats.Plans++
	return Plan(s, *w.gang, w.asking(gone), w.options)
}

// probe plans the gang while a set of victims is gone, and calls the filters only if ask is
// true. It explains no failure, and it does not place the members beyond the quorum.
func (w *world) probe(gone []bool, ask bool) placement {
	return w.probeOn(w.without(gone), gone, ask)
}

// probeOn does what probe does. s is the snapshot without the victims.
func (w *world) probeOn(s *Snapshot, gone []bool, ask bool) placement {
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

// byDecision returns the placement of a Decision.
func (w *world) byDecision(s *Snapshot, d Decision) placement {
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

// indices returns the ascending indices, in the caller's list, of the occupants that leave
// already and of a set of victims.
func (w *world) indices(gone []bool) []int {
	out := slices.Clone(w.leaving)
	for i, is := range gone {
		if is {
			out = append(out, w.list[i].index)
		}
	}
	slices.Sort(out)
	return out
}

// asking returns the filters for a set of victims that are gone. They are called once for
// the same arguments.
func (w *world) asking(gone []bool) Fits {
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
