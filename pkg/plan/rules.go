// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// addAntiAffinity compiles Gang.AntiAffinity, the rules that keep members (pods of the
// gang) out of each other's domains (sets of nodes, such as racks).
func (p *problem) addAntiAffinity() {
	for i := range p.gang.AntiAffinity {
		spec := &p.gang.AntiAffinity[i]
		rule := apartRule{domains: p.domainsOf(spec.Level), holders: p.roleSet(spec.Roles), others: p.roleSet(spec.Others)}
		for r := range p.roles {
			if rule.holders[r] || rule.others[r] {
				p.roles[r].apart = append(p.roles[r].apart, int32(i))
			}
		}
		if rule.domains.depth < 0 {
			p.tell(rule.domains, nil)
		}
		p.apart = append(p.apart, rule)
	}
}

// addSpreads compiles Gang.Spread, the rules that spread members over domains.
func (p *problem) addSpreads() {
	for i := range p.gang.Spread {
		spec := &p.gang.Spread[i]
		rule := spreadRule{
			domains: p.domainsOf(spec.Level), holders: p.roleSet(spec.Roles), counted: p.roleSet(spec.Counted),
			skew: int32(min(spec.MaxSkew, maxSlots)),
		}
		rule.sizes = rule.domains.sizes()
		rule.existing = p.existingIn(rule.domains, spec.Existing)
		members, domains := 0, 0
		for r := range p.roles {
			if rule.holders[r] || rule.counted[r] {
				p.roles[r].spreads = append(p.roles[r].spreads, int32(i))
			}
			if rule.counted[r] {
				members += len(p.roles[r].spec.Members) - len(p.roles[r].bound)
			}
		}
		for _, n := range rule.sizes {
			if n > 0 {
				domains++
			}
		}
		rule.zero = domains < spec.MinDomains
		rule.highest = rule.highestLeast(members)
		p.tell(rule.domains, rule.existing)
		p.spreads = append(p.spreads, rule)
	}
}

// existingIn returns, by domain number, the number of pods in the domain. byNode has the
// number of pods by node name.
func (p *problem) existingIn(d *domains, byNode map[string]int) []int32 {
	out := make([]int32, d.count)
	for node, n := range byNode {
		pos, ok := p.snap.fabric.pos(node)
		if !ok || n <= 0 {
			continue
		}
		if v, ok := d.at(pos); ok {
			out[v] += int32(min(n, maxSlots))
		}
	}
	return out
}

// addAffinities compiles Gang.Affinity, the rules that keep members in the domains of
// matching pods.
func (p *problem) addAffinities() {
	for i := range p.gang.Affinity {
		spec := &p.gang.Affinity[i]
		rule := affinityRule{holders: p.roleSet(spec.Roles), matching: p.roleSet(spec.Matching)}
		for _, level := range spec.Levels {
			rule.terms = append(rule.terms, p.domainsOf(level))
			rule.existing = append(rule.existing, make([]int32, rule.terms[len(rule.terms)-1].count))
		}
		for _, node := range slices.Compact(slices.Sorted(slices.Values(spec.Existing))) {
			if pos, ok := p.snap.fabric.pos(node); ok && rule.count(rule.existing, pos, 1) {
				rule.exist++
			}
		}
		for r := range p.roles {
			if rule.holders[r] || rule.matching[r] {
				p.roles[r].affinities = append(p.roles[r].affinities, int32(i))
			}
		}
		for t, d := range rule.terms {
			p.tell(d, rule.existing[t])
		}
		p.affinities = append(p.affinities, rule)
	}
}

// domainsOf returns the domains of a level of the network, or of a Partition (a division of
// the nodes, such as by the value of a label), by its name, which has been checked. A
// Partition is compiled once.
func (p *problem) domainsOf(name string) *domains {
	i := p.gang.partition(name)
	if i < 0 {
		depth, f := p.depth(name), p.snap.fabric
		return &domains{fabric: f, depth: depth, count: f.width(depth)}
	}
	if p.partitions == nil {
		p.partitions = make([]*domains, len(p.gang.Partitions))
	}
	if p.partitions[i] == nil {
		p.partitions[i] = newPartition(p.snap.fabric, p.gang.Partitions[i].Domains)
	}
	return p.partitions[i]
}

// tell makes the search treat nodes in different domains of a rule as different. existing
// has, by domain, how many running pods the rule counts; nil stands for zeros. Domains of
// a single node differ only by this number.
func (p *problem) tell(d *domains, existing []int32) {
	p.told++
	sizes := d.sizes()
	for pos := range int32(len(p.snap.fabric.names)) {
		v, ok := d.at(pos)
		if !ok {
			continue
		}
		several, pods := int64(-1), int64(0)
		if sizes[v] > 1 {
			several = int64(v)
		}
		if existing != nil {
			pods = int64(existing[v])
		}
		p.mark(pos, domainMark, int64(p.told), several, pods)
	}
}

// roleSet returns, by index of a role (a set of equal members), whether names contains the
// role's name.
func (p *problem) roleSet(names []string) []bool {
	out := make([]bool, len(p.roles))
	for _, name := range names {
		out[p.roleNamed(name)] = true
	}
	return out
}

// roleNamed returns the index of the role with this name, or -1 if there is none.
func (p *problem) roleNamed(name string) int {
	if p.roleIndex == nil {
		p.roleIndex = make(map[string]int, len(p.roles))
		for r := range p.roles {
			p.roleIndex[p.roles[r].spec.Name] = r
		}
	}
	if r, known := p.roleIndex[name]; known {
		return r
	}
	return -1
}
