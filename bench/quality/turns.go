// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"slices"
	"time"
)

// The rules of turns are those of the plugin Gang (pkg/plugins/gang/bypass.go),
// whose book cannot be had without a scheduler around it.

// imagineAgain is how long the answer to "what if all others were gone" serves.
const imagineAgain = 30 * time.Second

// turn is how a gang for which there is no room stands to those behind it.
type turn struct {
	passed   bool
	passedAt time.Duration
	imagined bool
	at       time.Duration
	kept     map[string]bool
}

func precedes(a, b *entry) bool { return a.id < b.id }

// placed notes that a gang runs: blocked ones before it in the queue are passed,
// and its own waiting is over.
func (d *dovetail) placed(s *sim, e *entry) {
	delete(d.turns, e)
	if d.keeper == e {
		d.keeper = nil
	}
	for other, t := range d.turns {
		if !t.passed && precedes(other, e) {
			t.passed, t.passedAt = true, s.now
		}
	}
}

// keptFrom returns the nodes that a gang must leave to another one.
func (d *dovetail) keptFrom(e *entry) map[string]bool {
	if d.keeper == nil || d.keeper == e || !precedes(d.keeper, e) {
		return nil
	}
	return d.turns[d.keeper].kept
}

// block notes that there is no room for a gang, and keeps nodes for it if it was
// passed for too long.
func (d *dovetail) block(s *sim, e *entry) error {
	if d.bypass == 0 {
		return nil
	}
	t := d.turns[e]
	if t == nil {
		t = &turn{}
		d.turns[e] = t
	}
	if d.keeper != nil || !t.passed || s.now < t.passedAt+d.bypass || t.imagined && s.now < t.at+imagineAgain {
		return nil
	}
	t.imagined, t.at = true, s.now
	kept, err := d.cheapestNodes(e)
	if err != nil || len(kept) == 0 {
		return err
	}
	t.kept, d.keeper = kept, e
	return nil
}

// cheapestNodes finds nodes on which the gang could stand if everything ended
// there, among the fewest nodes that must be cleared: it tries the 1, 2, 4, ...
// that have the fewest pods.
func (d *dovetail) cheapestNodes(e *entry) (map[string]bool, error) {
	var busy []*machine
	for _, m := range d.cluster.machines {
		if len(m.info.GetPods()) > 0 {
			busy = append(busy, m)
		}
	}
	slices.SortFunc(busy, func(a, b *machine) int {
		return cmp.Or(cmp.Compare(len(a.info.GetPods()), len(b.info.GetPods())), cmp.Compare(a.node.Name, b.node.Name))
	})
	q, err := d.empty.ask(e)
	if err != nil {
		return nil, err
	}
	decision := q.answer()
	if !decision.Placed {
		return nil, nil
	}
	for k := 1; k < len(busy); k *= 2 {
		others := map[string]bool{}
		for _, m := range busy[k:] {
			others[m.node.Name] = true
		}
		if fewer := q.avoiding(others).answer(); fewer.Placed {
			decision = fewer
			break
		}
	}
	found := map[string]bool{}
	for _, a := range decision.Assignments {
		found[a.Node] = true
	}
	return found, nil
}
