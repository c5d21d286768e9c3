// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"
	"slices"
)

func topologyOf(annotations map[string]string) Topology {
	return Topology{
		Required:  annotations[RequiredAnnotation],
		Preferred: annotations[PreferredAnnotation],
		Alignment: annotations[AlignmentAnnotation],
		Mistake:   annotationMistake(annotations),
	}
}

// wish is one kind of topology constraint, required or preferred: one domain of a network
// level, such as one rack, must or should hold all pods. It has the annotation with the
// name of the level, and the field for it in a Topology.
type wish struct {
	annotation string
	of         func(*Topology) *string
}

var wishes = []wish{
	{RequiredAnnotation, func(t *Topology) *string { return &t.Required }},
	{PreferredAnnotation, func(t *Topology) *string { return &t.Preferred }},
}

// said is the level that the members of one role (those with one task) request in one
// annotation.
type said struct {
	level string
	pod   string // the first pod, in the order of names, that requests it
	pods  int    // members of the role that are neither failed nor being deleted, with or without a level
}

// mergeTopology adds the topology constraints in the annotations of the members to the
// gang's own constraints, which take precedence. A constraint that all roles share
// becomes the gang's. So does that of a role with one pod, such as a Ray head, because a
// constraint on a single pod would have no effect. Any other constraint applies to its role
// only. It is an error (Gang.Problem) if members of one role name different levels in one
// annotation, or if two roles with one pod each do.
func mergeTopology(g Gang, members []Member) Gang {
	if !slices.ContainsFunc(members, hasWish) {
		return g
	}
	members = slices.Clone(members)
	sortByName(members)
	g.Roles = slices.Clone(g.Roles)
	for _, w := range wishes {
		saids, problem := w.byRole(g, members)
		if problem == "" {
			problem = w.settle(&g, saids)
		}
		if g.Problem == "" {
			g.Problem = problem
		}
	}
	return g
}

func hasWish(m Member) bool {
	return m.Pod.Annotations[RequiredAnnotation] != "" || m.Pod.Annotations[PreferredAnnotation] != ""
}

// byRole returns the level that the members of each role request in the annotation, in
// the order of g.Roles. It returns a sentence if members of a role request different
// levels.
func (w wish) byRole(g Gang, members []Member) ([]said, string) {
	saids := make([]said, len(g.Roles))
	for _, m := range members {
		at := slices.IndexFunc(g.Roles, func(r Role) bool { return r.Name == m.Role })
		if at < 0 || !g.Has(m) || !Live(m.Pod) {
			continue
		}
		s := &saids[at]
		s.pods++
		level := m.Pod.Annotations[w.annotation]
		switch {
		case level == "" || level == s.level:
		case s.level == "":
			s.level, s.pod = level, m.Pod.Name
		default:
			return nil, w.contradiction(g, *s, said{level: level, pod: m.Pod.Name})
		}
	}
	return saids, ""
}

// settle stores the level that each role requests as the gang's or as the role's
// constraint. It returns a sentence if two requests contradict each other.
func (w wish) settle(g *Gang, saids []said) string {
	whole := w.of(&g.Topology)
	first := said{level: *whole}
	if shared, ok := sharedByAll(saids); ok && *whole == "" {
		*whole = shared
		return ""
	}
	for i, s := range saids {
		switch {
		case s.level == "" || s.level == *whole:
		case s.pods > 1 || g.Roles[i].Want > 1:
			*w.of(&g.Roles[i].Topology) = s.level
		case *whole == "":
			*whole, first = s.level, s
		case first.pod != "":
			return w.contradiction(*g, first, s)
		}
	}
	return w.dropRepeated(g)
}

// dropRepeated clears the level of each role that has the same level as the gang. It always
// returns "", for no problem, so that settle can end with it.
func (w wish) dropRepeated(g *Gang) string {
	for i := range g.Roles {
		if own := w.of(&g.Roles[i].Topology); *own == *w.of(&g.Topology) {
			*own = ""
		}
	}
	return ""
}

// sharedByAll returns the level that every role with members requests, if they agree.
func sharedByAll(saids []said) (string, bool) {
	level := ""
	for _, s := range saids {
		if s.pods == 0 {
			continue
		}
		if s.level == "" || (level != "" && s.level != level) {
			return "", false
		}
		level = s.level
	}
	return level, level != ""
}

func (w wish) contradiction(g Gang, a, b said) string {
	return fmt.Sprintf("members of %s contradict each other in annotation %s: %q on pod %s, %q on pod %s",
		g.Key, w.annotation, a.level, a.pod, b.level, b.pod)
}

// Labels returns the keys of the node labels that the gang and its groups require to have
// one value on all nodes of their members.
func (g Gang) Labels() []string {
	var labels []string
	if g.Topology.RequiredLabel != "" {
		labels = append(labels, g.Topology.RequiredLabel)
	}
	for _, group := range g.Groups {
		if group.Topology.RequiredLabel != "" {
			labels = append(labels, group.Topology.RequiredLabel)
		}
	}
	return labels
}
