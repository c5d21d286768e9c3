// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"strings"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// newRule reads a rule between members or the partition of one.
func (s *script) newRule(kind string, words []string) error {
	switch kind {
	case "partition":
		return s.newPartition(words)
	case "spread":
		return s.newSpread(words)
	case "near":
		return s.newAffinity(words)
	}
	return s.newAntiAffinity(words)
}

// newPartition reads "partition NAME DOMAIN=NODES ...", with commas between nodes.
func (s *script) newPartition(words []string) error {
	p := plan.Partition{Name: words[0], Domains: map[string]string{}}
	for _, word := range words[1:] {
		domain, nodes, _ := strings.Cut(word, "=")
		for _, node := range nodesIn(nodes) {
			p.Domains[node] = domain
		}
	}
	s.gang.Partitions = append(s.gang.Partitions, p)
	return nil
}

// nodesIn reads names like "n1,n3..n5".
func nodesIn(text string) []string {
	var out []string
	for _, name := range strings.Split(text, ",") {
		out = append(out, expand(name)...)
	}
	return out
}

// newAntiAffinity reads "apart LEVEL ROLES OTHERS", with commas between roles. Without
// OTHERS the roles keep apart from each other.
func (s *script) newAntiAffinity(words []string) error {
	rule := plan.AntiAffinity{Level: words[0], Roles: strings.Split(words[1], ",")}
	rule.Others = rule.Roles
	if len(words) > 2 {
		rule.Others = strings.Split(words[2], ",")
	}
	s.gang.AntiAffinity = append(s.gang.AntiAffinity, rule)
	return nil
}

// newSpread reads "spread LEVEL ROLES options".
func (s *script) newSpread(words []string) error {
	rule := plan.Spread{Level: words[0], Roles: strings.Split(words[1], ","), MaxSkew: 1, Existing: map[string]int{}}
	rule.Counted = rule.Roles
	err := options{
		"skew": &rule.MaxSkew, "minDomains": &rule.MinDomains,
		"counted": func(v string) error { rule.Counted = strings.Split(v, ","); return nil },
		"existing": func(v string) error {
			for _, word := range strings.Split(v, ",") {
				name, count, _ := strings.Cut(word, ":")
				for _, node := range expand(name) {
					n := 0
					if _, err := fmt.Sscan(count, &n); err != nil {
						return err
					}
					rule.Existing[node] = n
				}
			}
			return nil
		},
	}.read(words[2:])
	s.gang.Spread = append(s.gang.Spread, rule)
	return err
}

// newAffinity reads "near LEVELS ROLES options".
func (s *script) newAffinity(words []string) error {
	rule := plan.Affinity{Levels: strings.Split(words[0], ","), Roles: strings.Split(words[1], ",")}
	rule.Matching = rule.Roles
	err := options{
		"matching": func(v string) error { rule.Matching = strings.Split(v, ","); return nil },
		"existing": func(v string) error { rule.Existing = nodesIn(v); return nil },
	}.read(words[2:])
	s.gang.Affinity = append(s.gang.Affinity, rule)
	return err
}
