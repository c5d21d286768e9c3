// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"testing"
	"time"

	resourceapi "k8s.io/api/resource/v1"
)

// cacheOf returns a cache to which namespaces added queries of these many results each.
func cacheOf(namespaces, queries, results int) *queryCache {
	c := newQueryCache()
	for i := range namespaces {
		for j := range queries {
			q := &deviceQuery{key: fmt.Sprintf("%d/%d", i, j), results: map[string]matchResult{}}
			for k := range results {
				q.results[fmt.Sprint(k)] = matchResult{}
			}
			c.add(q, fmt.Sprintf("namespace-%d", i))
		}
	}
	return &c
}

// A namespace with many queries displaces only its own, the least recently used first.
func TestNamespaceDisplacesItsOwnQueries(t *testing.T) {
	c := cacheOf(3, 2, 0)
	for i := range 10_000 {
		c.add(&deviceQuery{key: fmt.Sprintf("many %d", i)}, "many")
		if c.get("many 0") == nil {
			t.Fatal("a query in use was dropped")
		}
	}
	if got := c.count("many"); got != maxNamespaceQueries {
		t.Errorf("%d queries of a namespace are cached, want %d", got, maxNamespaceQueries)
	}
	for i := range 3 {
		if got := c.count(fmt.Sprintf("namespace-%d", i)); got != 2 {
			t.Errorf("%d of 2 queries of namespace %d are cached", got, i)
		}
	}
}

// The cache is bounded by queries and by results. Which it drops does not depend on the
// order of a map.
func TestQueryCacheIsBounded(t *testing.T) {
	if got := len(cacheOf(1000, 2, 0).byKey); got != maxQueries {
		t.Errorf("%d queries are cached, want %d", got, maxQueries)
	}
	for range 3 {
		c := cacheOf(2, 3, minCachedResults/5)
		c.add(&deviceQuery{key: "small", results: map[string]matchResult{"": {}}}, "small")
		c.trim(0)
		for key, want := range map[string]bool{"small": true, "0/0": false, "0/1": true, "1/0": true} {
			if got := c.byKey[key] != nil; got != want {
				t.Errorf("query %s is cached: %t, want %t", key, got, want)
			}
		}
	}
}

// Full budgets are forgotten, so namespaces that come and go leave nothing.
func TestBudgetsAreBounded(t *testing.T) {
	b := newBudgets()
	now := time.Unix(1000, 0)
	for i := range 100_000 {
		b.refill(now.Add(time.Duration(i) * time.Second))
		b.charge(fmt.Sprintf("namespace-%d", i), budgetRefill)
	}
	if got := len(b.spent); got > maxBudgets+1 {
		t.Errorf("%d budgets are kept", got)
	}
}

// A debt is limited, and a budget never exceeds its size.
func TestBudgetRefills(t *testing.T) {
	b := newBudgets()
	at := func(seconds int) { b.refill(time.Unix(1000+int64(seconds), 0)) }
	at(0)
	b.charge("a", 1<<60)
	for _, step := range []struct {
		seconds int
		want    int64
	}{{0, -maxDebt}, {100, -maxDebt + 100*budgetRefill}, {50, -maxDebt + 100*budgetRefill}, {1_000_000, budgetSize}} {
		at(step.seconds)
		if got := b.left("a"); got != step.want {
			t.Errorf("after %d s: %d left, want %d", step.seconds, got, step.want)
		}
	}
}

// The inventory may change during an evaluation, which does not lock it. The devices that
// came in that time are evaluated by the next one.
func TestSlicesChangeDuringEvaluation(t *testing.T) {
	inv := New(DefaultOptions())
	q := &deviceQuery{key: "q", results: map[string]matchResult{}, resultLimit: minMatchResults, base: &deviceQuery{key: "b", results: map[string]matchResult{}}}
	node := "n1"
	set := func(name string) {
		inv.SetSlice(&resourceapi.ResourceSlice{Spec: resourceapi.ResourceSliceSpec{
			Driver: "d", NodeName: &node, Devices: []resourceapi.Device{{Name: name}},
			Pool: resourceapi.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1},
		}})
	}
	set("a")
	if _, err := inv.evaluateQuery("", q.base); err != nil {
		t.Fatal(err)
	}
	e, _, err := inv.newEvaluation("ml", q)
	if err != nil || e == nil {
		t.Fatal(e, err)
	}
	set("b") // the slices change during the evaluation
	if err := e.run(inv.budgets); err != nil {
		t.Fatal(err)
	}
	if _, err := inv.finish(e, true); err != nil {
		t.Fatal(err)
	}
	if next, _, err := inv.newEvaluation("ml", q); err != nil || next == nil {
		t.Errorf("the devices that came during an evaluation count as evaluated: %v", err)
	}
}
