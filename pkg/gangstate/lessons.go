// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// lessonLife is how long a lesson is kept if no event drops it. Stock schedulers try a
// waiting pod again after the same time, because an event may be missing.
const lessonLife = 5 * time.Minute

// lesson records that a filter refused a member on its planned node, in the member's own cycle,
// while other members had reserved nodes. All these members cannot be on these nodes at once.
type lesson struct {
	// role is the refused member's role. held is how many members of that role had reserved the
	// node.
	role gangs.RoleSignature
	node string
	held int
	// others are the other members that had reserved nodes, counted by role and node.
	others []gangs.ConflictTerm
	at     time.Time
}

// learn adds a lesson. If the same lesson is known, learn only updates its time.
func (r *retry) learn(l lesson) {
	for i := range r.lessons {
		if known := &r.lessons[i]; known.role == l.role && known.node == l.node && known.held == l.held && slices.Equal(known.others, l.others) {
			known.at = l.at
			return
		}
	}
	r.lessons, r.learned = append(r.lessons, l), true
}

// forgetLessons drops the lessons that an event on the node may have made false: those that
// mention the node. An empty name drops all lessons.
func (r *retry) forgetLessons(node string) {
	onNode := func(term gangs.ConflictTerm) bool { return term.Node == node }
	r.lessons = slices.DeleteFunc(r.lessons, func(l lesson) bool {
		return node == "" || l.node == node || slices.ContainsFunc(l.others, onNode)
	})
}

// teach drops lessons older than lessonLife and adds the others to a planning request, in two
// forms. A limit is the number of members of the role that the node takes, as if the refusal
// depended on nothing else. A conflict is the whole combination of members on nodes; a plan
// must not contain it.
func (r *retry) teach(request *gangs.Request, now time.Time) {
	r.lessons = slices.DeleteFunc(r.lessons, func(l lesson) bool { return now.Sub(l.at) > lessonLife })
	for _, l := range r.lessons {
		if request.Limits == nil {
			request.Limits = map[gangs.RoleSignature]map[string]int{}
		}
		if request.Limits[l.role] == nil {
			request.Limits[l.role] = map[string]int{}
		}
		if most, known := request.Limits[l.role][l.node]; !known || l.held < most {
			request.Limits[l.role][l.node] = l.held
		}
		own := gangs.ConflictTerm{Role: l.role, Node: l.node, Count: l.held + 1}
		request.Conflicts = append(request.Conflicts, append(gangs.Conflict{own}, l.others...))
	}
}

// lessonOf returns the lesson of a member's refusal on its planned node. In phase Binding the
// other members keep their nodes, so the lesson is about this member alone.
func (a *Attempt) lessonOf(role gangs.RoleSignature, node string, now time.Time) lesson {
	l := lesson{role: role, node: node, at: now}
	if a.phase == Binding {
		return l
	}
	counts := map[gangs.ConflictTerm]int{}
	for uid, at := range a.reserved {
		counts[gangs.ConflictTerm{Role: a.plan.Roles[uid], Node: at}]++
	}
	l.held, l.others = SplitHeld(counts, role, node)
	return l
}

// SplitHeld divides the members that had reserved nodes when a filter refused a member of a
// role on a node: held is how many of the same role had reserved that node, others are all
// other members. counts has the number of members by role and node, with Count 0 in the keys.
func SplitHeld(counts map[gangs.ConflictTerm]int, role gangs.RoleSignature, node string) (held int, others []gangs.ConflictTerm) {
	for _, term := range slices.SortedFunc(maps.Keys(counts), compareTerms) {
		if term.Role == role && term.Node == node {
			held = counts[term]
			continue
		}
		others = append(others, gangs.ConflictTerm{Role: term.Role, Node: term.Node, Count: counts[term]})
	}
	return held, others
}

func compareTerms(a, b gangs.ConflictTerm) int {
	return cmp.Or(
		strings.Compare(a.Role.Role, b.Role.Role), cmp.Compare(a.Role.Signature, b.Role.Signature),
		cmp.Compare(a.Role.Subrequests, b.Role.Subrequests), strings.Compare(a.Node, b.Node),
	)
}
