// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"strings"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// supply runs a line about a pool, a node limit or a conflict.
func (s *script) supply(words []string) error {
	switch words[0] {
	case "pool":
		return s.newPool(words[1:])
	case "takes":
		return s.newTaker(words[1:])
	case "limit":
		return s.newNodeLimit(words[1:])
	case "conflict":
		return s.newConflict(words[1:])
	}
	return s.newLimitUser(words[1:])
}

// newPool parses "pool NAME anyorder n1:10 n1,n2:20 *:5": items by node and size.
func (s *script) newPool(words []string) error {
	pool := plan.Pool{Name: words[0]}
	for _, word := range words[1:] {
		if word == "anyorder" {
			pool.AnyOrder = true
			continue
		}
		item := plan.Item{}
		nodes, size, _ := strings.Cut(word, ":")
		if _, err := fmt.Sscan(size, &item.Size); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
		if nodes != "*" {
			item.Nodes = strings.Split(nodes, ",")
		}
		pool.Items = append(pool.Items, item)
	}
	s.gang.Pools = append(s.gang.Pools, pool)
	return nil
}

// newTaker parses "takes ROLE 10 20": each member takes an item of the last pool of at
// least each size.
func (s *script) newTaker(words []string) error {
	pool := &s.gang.Pools[len(s.gang.Pools)-1]
	user := plan.PoolUser{Role: words[0]}
	for _, word := range words[1:] {
		var least int64
		if _, err := fmt.Sscan(word, &least); err != nil {
			return err
		}
		var take []int
		for i := range pool.Items {
			if pool.Items[i].Size >= least {
				take = append(take, i)
			}
		}
		user.Takes = append(user.Takes, take)
	}
	pool.Users = append(pool.Users, user)
	return nil
}

// newNodeLimit parses "limit NAME n1:2 n2..n3:1:x": what is free on nodes, and the shared
// things there.
func (s *script) newNodeLimit(words []string) error {
	l := plan.NodeLimit{Name: words[0], Free: map[string]int{}, Present: map[string][]string{}}
	for _, word := range words[1:] {
		parts := strings.Split(word, ":")
		for _, node := range expand(parts[0]) {
			free := 0
			if _, err := fmt.Sscan(parts[1], &free); err != nil {
				return fmt.Errorf("%s: %w", word, err)
			}
			l.Free[node], l.Present[node] = free, parts[2:]
		}
	}
	s.gang.NodeLimits = append(s.gang.NodeLimits, l)
	return nil
}

// newConflict parses "conflict head@n1 worker@n2:3": members that the filters have refused
// together.
func (s *script) newConflict(words []string) error {
	conflict := plan.Conflict{}
	for _, word := range words {
		role, at, _ := strings.Cut(word, "@")
		node, count, counted := strings.Cut(at, ":")
		term := plan.ConflictTerm{Role: role, Node: node, Count: 1}
		if counted {
			if _, err := fmt.Sscan(count, &term.Count); err != nil {
				return fmt.Errorf("%s: %w", word, err)
			}
		}
		conflict.Terms = append(conflict.Terms, term)
	}
	s.gang.Conflicts = append(s.gang.Conflicts, conflict)
	return nil
}

// newLimitUser parses "counts ROLE 2 x y": what each member takes for itself, and the
// things that members share.
func (s *script) newLimitUser(words []string) error {
	l := &s.gang.NodeLimits[len(s.gang.NodeLimits)-1]
	user := plan.LimitUser{Role: words[0], Shared: words[2:]}
	_, err := fmt.Sscan(words[1], &user.Own)
	l.Users = append(l.Users, user)
	return err
}
