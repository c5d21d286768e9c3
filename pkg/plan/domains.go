// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"
)

// domains are the domains in which a rule between members counts: those of a level, or
// those of a partition. They have numbers from zero.
type domains struct {
	fabric *fabric
	// depth is the depth of the level, one below the finest level for nodes. It is -1 for a
	// partition.
	depth int
	// of is, by position, the number of the node's domain in a partition, -1 for none.
	of []int32
	// count is one more than the largest number.
	count int32
}

// at returns the domain of a node. ok is false for a node that is in none.
func (d *domains) at(pos int32) (v int32, ok bool) {
	if d.depth < 0 {
		v = d.of[pos]
		return v, v >= 0
	}
	v = d.fabric.at(d.depth, pos)
	return v, d.fabric.real(d.depth, v)
}

// areNodes reports whether each domain is a single node.
func (d *domains) areNodes() bool { return d.depth > d.fabric.levels }

// sizes returns the number of nodes by domain. It is zero for numbers without a domain.
func (d *domains) sizes() []int32 {
	out := make([]int32, d.count)
	for pos := range int32(len(d.fabric.names)) {
		if v, ok := d.at(pos); ok {
			out[v]++
		}
	}
	return out
}

// domainsOf returns the domains of a checked name of a level or of a partition. A partition
// is compiled once.
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

// newPartition numbers the domains of a partition by their names.
func newPartition(f *fabric, named map[string]string) *domains {
	d := &domains{fabric: f, depth: -1, of: make([]int32, len(f.names))}
	numbers := map[string]int32{}
	for pos, node := range f.names {
		if name, ok := named[node]; ok {
			numbers[name] = 0
		}
		d.of[pos] = -1
	}
	for i, name := range slices.Sorted(maps.Keys(numbers)) {
		numbers[name] = int32(i)
	}
	for pos, node := range f.names {
		if name, ok := named[node]; ok {
			d.of[pos] = numbers[name]
		}
	}
	d.count = int32(len(numbers))
	return d
}

// tell makes nodes in different domains different for the search. existing is, by domain, a
// number that tells domains of single nodes apart; nil stands for zeros.
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

// roleSet returns, by role, whether it is named.
func (p *problem) roleSet(names []string) []bool {
	if p.roleIndex == nil {
		p.roleIndex = make(map[string]int, len(p.roles))
		for r := range p.roles {
			p.roleIndex[p.roles[r].spec.Name] = r
		}
	}
	out := make([]bool, len(p.roles))
	for _, name := range names {
		out[p.roleIndex[name]] = true
	}
	return out
}
