// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
)

// CompositeSource is the Key.Source (the way of declaring, in a gang's key) of nested gangs
// declared by a CompositePodGroup of scheduling.k8s.io.
const CompositeSource = "compositepodgroup"

// CompositeGang returns the gang that a CompositePodGroup at the top of its hierarchy
// declares. The caller adds the lower levels with AddComposite and AddGroup.
func CompositeGang(c *schedulingv1alpha3.CompositePodGroup) Gang {
	return Gang{
		Key:       Key{Source: CompositeSource, Namespace: c.Namespace, Name: c.Name},
		UID:       c.UID,
		MinField:  "spec.schedulingPolicy.gang.minGroupCount",
		MinGroups: minGroups(c),
		Topology:  compositeTopology(c),
		RunTime:   runTimeOf(&c.ObjectMeta, Key{Source: CompositeSource, Namespace: c.Namespace, Name: c.Name}.String(), Limit{}),
		Owner: corev1.ObjectReference{
			APIVersion: schedulingv1alpha3.SchemeGroupVersion.String(),
			Kind:       "CompositePodGroup",
			Namespace:  c.Namespace,
			Name:       c.Name,
			UID:        c.UID,
		},
		Created: c.CreationTimestamp.Time,
	}
}

// AddComposite adds a CompositePodGroup below the group named parent, "" for the gang
// itself, and returns its name in the gang.
func (g *Gang) AddComposite(parent string, c *schedulingv1alpha3.CompositePodGroup) string {
	name := "composite " + c.Name // a PodGroup may have the same name
	g.Groups = append(g.Groups, Group{Name: name, Parent: parent, MinGroups: minGroups(c), Topology: compositeTopology(c)})
	return name
}

// AddGroup adds child, the gang of a PodGroup, below the group named parent, and returns its
// members as members of the whole gang. If the PodGroup has too few members for its quorum (the
// members that must start together), it cannot be placed now: AddGroup adds nothing and
// returns nil.
func (g *Gang) AddGroup(parent string, child Gang, members []Member) []Member {
	if len(members) < child.Min {
		return nil
	}
	name := child.Key.Name
	g.Groups = append(g.Groups, Group{Name: name, Parent: parent, Min: child.Min, Topology: child.Topology})
	for _, role := range child.Roles {
		role.Name, role.Group = groupedRole(name, role.Name), name
		g.Roles = append(g.Roles, role)
	}
	for i := range members {
		members[i].Role = groupedRole(name, members[i].Role)
	}
	if g.Problem == "" {
		g.Problem = child.Problem
	}
	return members
}

// Joined returns a pod of a PodGroup as a member of this gang, under the gang's key. It
// returns false if the gang does not contain that PodGroup: it may have been added after
// the gang was read.
func (g *Gang) Joined(pod *corev1.Pod) (Member, bool) {
	m := PodGroupMember(pod)
	if len(g.Groups) == 0 {
		return m, m.Key == g.Key
	}
	known := slices.ContainsFunc(g.Groups, func(group Group) bool { return group.Name == m.Key.Name })
	m.Role = groupedRole(m.Key.Name, m.Role)
	m.Key = g.Key
	return m, known
}

// groupedRole returns the name, in a hierarchy of groups, of a role (members with one task)
// of a PodGroup.
func groupedRole(group, role string) string { return group + "/" + role }

// Settle completes the gang after the last AddComposite and AddGroup. It removes groups
// with nothing in them and lowers every MinGroups to the number of groups that are left.
func (g *Gang) Settle() {
	for i := len(g.Groups) - 1; i >= 0; i-- { // children come after their parents
		group := &g.Groups[i]
		kids := g.groupsIn(group.Name)
		if kids == 0 && group.Min == 0 {
			g.Groups = append(g.Groups[:i], g.Groups[i+1:]...)
			continue
		}
		group.MinGroups = min(group.MinGroups, kids)
	}
	g.MinGroups = min(g.MinGroups, g.groupsIn(""))
}

// Quorate reports whether the members for which counts returns true are a quorum of the
// gang, or, if the gang has nested groups, of as many of these as the gang needs.
func (g *Gang) Quorate(members []Member, counts func(Member) bool) bool {
	in := map[string]string{}
	for _, role := range g.Roles {
		in[role.Name] = role.Group
	}
	have := map[string]int{}
	for _, m := range members {
		if counts(m) {
			have[in[m.Role]]++
		}
	}
	if len(g.Groups) == 0 {
		return have[""] >= g.Min
	}
	return g.groupsMet("", g.MinGroups, have)
}

// groupsMet reports whether at least this number of the groups directly in parent have
// their quorum; zero means all of them. have is the number of members in each group.
func (g *Gang) groupsMet(parent string, least int, have map[string]int) bool {
	kids, met := 0, 0
	for i := range g.Groups {
		group := &g.Groups[i]
		if group.Parent != parent {
			continue
		}
		kids++
		if have[group.Name] >= group.Min && g.groupsMet(group.Name, group.MinGroups, have) {
			met++
		}
	}
	return met >= min(cmp.Or(least, kids), kids)
}

func (g *Gang) groupsIn(parent string) int {
	n := 0
	for i := range g.Groups {
		if g.Groups[i].Parent == parent {
			n++
		}
	}
	return n
}

// minGroups returns how many groups a CompositePodGroup needs, 1 with the basic policy.
func minGroups(c *schedulingv1alpha3.CompositePodGroup) int {
	if policy := c.Spec.SchedulingPolicy.Gang; policy != nil {
		return int(policy.MinGroupCount)
	}
	return 1
}

func compositeTopology(c *schedulingv1alpha3.CompositePodGroup) Topology {
	t := topologyOf(c.Annotations)
	if constraints := c.Spec.SchedulingConstraints; constraints != nil && len(constraints.Topology) > 0 {
		t.RequiredLabel = constraints.Topology[0].Key
	}
	return t
}
