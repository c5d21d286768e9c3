// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// addConflicts adds Request.Conflicts to the planner's gang. A conflict is a combination of
// members and nodes that the filters have refused in an earlier attempt of the gang.
// addConflicts leaves out a conflict about members that are in several of the planner's
// roles, or in none.
func (b *builder) addConflicts() {
	b.conflictsKept = true
	for _, conflict := range b.request.Conflicts {
		terms := b.conflictTerms(conflict)
		if terms == nil {
			b.conflictsKept = false
			continue
		}
		b.gang.Conflicts = append(b.gang.Conflicts, plan.Conflict{Terms: terms, Earlier: true})
	}
}

// conflictTerms returns the terms of a conflict for the planner; each is a number of members
// of a role on a node. It returns nil if the members of a term are not those of exactly one
// role of the planner.
func (b *builder) conflictTerms(conflict gangs.Conflict) []plan.ConflictTerm {
	var terms []plan.ConflictTerm
	for _, term := range conflict {
		has := func(r roleInput) bool { return r.has(term.Role) }
		first := slices.IndexFunc(b.roles, has)
		if first < 0 || slices.ContainsFunc(b.roles[first+1:], has) {
			return nil
		}
		terms = append(terms, plan.ConflictTerm{Role: b.roles[first].Name, Node: term.Node, Count: term.Count})
	}
	return terms
}

// has reports whether the planner's role is for the members of this role of the gang with
// this signature (equal for pods that ask the same of their node) and these chosen
// subrequests. The role of an alternative (firstAvailable) has no members yet, only their
// key.
func (r *roleInput) has(signed gangs.RoleSignature) bool {
	return r.base == signed.Role && r.subrequests == signed.Subrequests && (r.key.signature == signed.Signature ||
		slices.ContainsFunc(r.members, func(m gangs.Member) bool { return m.Signature == signed.Signature }))
}
