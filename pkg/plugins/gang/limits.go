// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import "k8s.io/apimachinery/pkg/types"

// learn remembers that a node takes no more than so many members of a role, as
// a stock filter has said of a planned member.
func (b *book) learn(att *attempt, uid types.UID, node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec := b.records[att.key]; rec != nil {
		role := att.roles[uid]
		rec.limit(role, node, att.held(role, node))
	}
}

// held counts the members of a role that a failing attempt gives back on a node.
func (a *attempt) held(role, node string) int {
	if a.phase == open {
		return 0
	}
	n := 0
	for uid, at := range a.reserved {
		if at == node && a.roles[uid] == role {
			n++
		}
	}
	return n
}

func (r *record) limit(role, node string, most int) {
	if r.limits == nil {
		r.limits = map[string]map[string]int{}
	}
	limit(r.limits, role, node, most)
}

// limit notes, by role and node, that the node takes no more than so many.
func limit(limits map[string]map[string]int, role, node string, most int) {
	if limits[role] == nil {
		limits[role] = map[string]int{}
	}
	limits[role][node] = most
}
