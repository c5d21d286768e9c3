// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// AntiAffinity keeps members of some roles apart, as a required pod anti-affinity term or
// a host port does. A domain of the level that holds a member of one of Roles holds no
// other member of any role in Others. The rule does not limit nodes without the level.
type AntiAffinity struct {
	// Level is the name of a level of the fabric (the topology tree) or of a Partition, or
	// NodeLevel for single nodes.
	Level         string
	Roles, Others []string
}

// Partition divides nodes into domains that are no level of the fabric, for example by a
// node label.
type Partition struct {
	// Name is the partition's name in rules. It must differ from the names of levels.
	Name string
	// Domains has, by node name, the name of the node's domain. Other nodes are in no
	// domain.
	Domains map[string]string
}

// Spread limits how unevenly members are spread over domains, as a pod's topology spread
// constraint with DoNotSchedule does. Members of Roles are placed one after the other,
// each only on a node with the level. After each member, the number of counted pods and
// members in the node's domain must be at most MaxSkew larger than the smallest number of
// any domain.
type Spread struct {
	// Level is the name of a fabric level or of a Partition, or NodeLevel. All domains of
	// the level count for the smallest number. A caller can leave nodes out only by a
	// Partition that does not have them.
	Level string
	// Roles are the roles whose members keep the rule. Counted are the roles whose members
	// count, for the members of Roles that are placed after them. Bound members do not count
	// unless they are in Existing.
	Roles, Counted []string
	MaxSkew        int
	// MinDomains is the fewest domains that the rule expects. With fewer domains, the
	// smallest number counts as zero.
	MinDomains int
	// Existing has, by node name, the number of pods that count before any member is
	// placed.
	Existing map[string]int
}

// Affinity keeps members near others, as the required pod affinity terms of a pod do.
// Members of Roles are placed one after the other, each in domains where a matching pod
// is: for each level, one domain of it holds the member and some matching pod. If there is
// no matching pod in any domain, a member of Roles that is also in Matching may be placed
// on any node with all the levels.
type Affinity struct {
	// Levels has, for each pod affinity term, the name of a fabric level or of a
	// Partition, or NodeLevel.
	Levels []string
	// Roles are the roles whose members must be near a matching pod. Matching are the
	// roles whose members match all terms. Bound members do not match unless Existing names
	// their nodes.
	Roles, Matching []string
	// Existing are the names of the nodes that have a matching pod already.
	Existing []string
}

// checkConstraints returns the first fault of the gang's Partitions, AntiAffinity, Spread
// and Affinity rules, or nil.
func (g *Gang) checkConstraints(l *Layout) *fault {
	if len(g.AntiAffinity)+len(g.Spread)+len(g.Affinity)+len(g.Partitions) == 0 {
		return nil
	}
	if f := g.checkPartitions(l); f != nil {
		return f
	}
	c := ruleChecker{g: g, layout: l, roles: make(map[string]bool, len(g.Roles))}
	for i := range g.Roles {
		c.roles[g.Roles[i].Name] = true
	}
	for i := range g.AntiAffinity {
		rule := &g.AntiAffinity[i]
		if f := c.check("antiAffinity", []string{rule.Level}, rule.Roles, rule.Others); f != nil {
			return f
		}
	}
	for i := range g.Spread {
		rule := &g.Spread[i]
		if f := c.check("spread", []string{rule.Level}, rule.Roles, rule.Counted); f != nil {
			return f
		}
		if rule.MaxSkew < 1 {
			return faultf("spread maxSkew", "%d", rule.MaxSkew)
		}
	}
	for i := range g.Affinity {
		rule := &g.Affinity[i]
		if f := c.check("affinity", rule.Levels, rule.Roles, rule.Matching); f != nil {
			return f
		}
	}
	return nil
}

func (g *Gang) checkPartitions(l *Layout) *fault {
	for i := range g.Partitions {
		name := g.Partitions[i].Name
		_, isLevel := l.level(name)
		if name == "" || isLevel || g.partition(name) != i {
			return faultf("partition "+name, "its name is empty or taken")
		}
	}
	return nil
}

// ruleChecker checks that the rules between members name levels and roles that exist.
type ruleChecker struct {
	g      *Gang
	layout *Layout
	roles  map[string]bool // the names of the gang's roles
}

func (c *ruleChecker) check(subject string, levels, roles, others []string) *fault {
	if len(levels) == 0 || slices.Contains(levels, "") {
		return faultf(subject, "it names no level")
	}
	for _, level := range levels {
		if c.g.partition(level) >= 0 {
			continue
		}
		if f := checkLevels(c.layout, subject+" ", level, ""); f != nil {
			return f
		}
	}
	for _, name := range slices.Concat(roles, others) {
		if !c.roles[name] {
			return faultf(subject, "role %q does not exist", name)
		}
	}
	return nil
}

// partition returns the index in Partitions of the partition with this name, -1 for an
// unknown name.
func (g *Gang) partition(name string) int {
	return slices.IndexFunc(g.Partitions, func(p Partition) bool { return p.Name == name })
}

// Conflict is a combination of members on nodes that the filters have refused. A
// placement must not fulfil all of its terms.
type Conflict struct {
	Terms []ConflictTerm
	// Earlier is true if the filters refused the combination in an earlier plan. When a
	// Decision explains why nodes have no room, it then gives the cause CauseAvoided, else
	// CauseFilter.
	Earlier bool
}

// ConflictTerm is fulfilled by a placement that puts at least Count pending members of the
// role on the node.
type ConflictTerm struct {
	Role, Node string
	Count      int
}

// checkConflicts returns the first fault of the gang's conflicts, or nil.
func (g *Gang) checkConflicts() *fault {
	for i := range g.Conflicts {
		if len(g.Conflicts[i].Terms) == 0 {
			return faultf("conflict", "it has no terms")
		}
		for _, term := range g.Conflicts[i].Terms {
			if !g.hasRole(term.Role) {
				return faultf("conflict", "role %q does not exist", term.Role)
			}
			if term.Count < 1 {
				return faultf("conflict", "%d members of role %s", term.Count, term.Role)
			}
		}
	}
	return nil
}
