// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Plan returns a Decision: a node for each member of the gang that can be placed, or the
// reasons for the failure. It is a pure function: the same snapshot, gang and answers of
// fits (the caller's filters) give the same Decision, for any order of nodes, roles and
// members. A nil fits accepts everything.
func Plan(s *Snapshot, g Gang, fits Fits, o Options) Decision {
	if f := g.check(&s.layout); f != nil {
		return f.decision(&g)
	}
	if g.hasAlternatives() {
		return planAlternatives(s, &g, fits, o)
	}
	return planFixed(s, &g, fits, o)
}
