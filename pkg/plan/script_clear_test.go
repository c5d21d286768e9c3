// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// newOccupant parses "occupant NAME options on n1(gpu=8) n2..n4(gpu=2 nic=2)". What it uses of
// a node includes one pod, if not given.
func (s *script) newOccupant(line string) error {
	head, uses, ok := strings.Cut(line, " on ")
	if !ok {
		return fmt.Errorf("an occupant is on nodes")
	}
	words := strings.Fields(head)
	o := plan.Occupant{Name: words[1]}
	priority, breaches := 0, 0
	err := options{
		"priority": &priority, "breaches": &breaches, "leaving": &o.Leaving,
		"after": func(v string) error { o.After = strings.Split(v, ","); return nil },
		"cost": func(v string) error {
			for _, text := range strings.Split(v, ",") {
				var cost int64
				if _, err := fmt.Sscan(text, &cost); err != nil {
					return err
				}
				o.Cost = append(o.Cost, cost)
			}
			return nil
		},
	}.read(words[2:])
	if err != nil {
		return err
	}
	o.Priority, o.Breaches = int64(priority), int64(breaches)
	for uses = strings.TrimSpace(uses); uses != ""; uses = strings.TrimSpace(uses) {
		open, end := strings.Index(uses, "("), strings.Index(uses, ")")
		if open < 0 || end < open {
			return fmt.Errorf("what an occupant uses looks like n1(gpu=8)")
		}
		n := plan.NodeSpec{Free: []int64{0, 1}}
		for _, word := range strings.Fields(uses[open+1 : end]) {
			if err := s.nodeWord(&n, word); err != nil {
				return err
			}
		}
		for _, name := range expand(uses[:open]) {
			o.Uses = append(o.Uses, plan.Usage{Node: name, Resources: n.Free, Units: n.Units})
		}
		uses = uses[end+1:]
	}
	s.occupants = append(s.occupants, o)
	return nil
}

// clear lets occupants leave for the gang, and prints the decision, the victims and their
// cost.
func (s *script) clear() error {
	fits := func(_ []int, role int, node string, already int) bool {
		most, ok := s.refuse[s.gang.Roles[role].Name][node]
		return !ok || already < most
	}
	c := plan.Clear(s.st.Freeze(), *s.gang, s.occupants, fits, plan.Options{Budget: s.budget, Capacity: s.capacity()})
	s.last = c.Decision
	s.show(&s.last)
	s.showOccupants("victims", c.Victims)
	s.showOccupants("awaited", c.Awaited)
	if len(c.Victims) > 0 {
		last := len(c.Cost) - 1
		fmt.Fprintf(&s.out, "  victims cost: breaches %d, priority %d, sums %v\n", c.Cost[0], c.Cost[1], c.Cost[2:last])
	}
	if !c.Proven {
		fmt.Fprintln(&s.out, "  not proven")
	}
	return nil
}

func (s *script) showOccupants(what string, list []int) {
	var names []string
	for _, i := range list {
		names = append(names, s.occupants[i].Name)
	}
	if len(names) > 0 {
		fmt.Fprintf(&s.out, "  %s: %s\n", what, strings.Join(slices.Clone(names), " "))
	}
}
