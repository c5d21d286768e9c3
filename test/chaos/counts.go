// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// counts counts faults by kind.
type counts struct {
	mu   sync.Mutex
	kind map[string]int
}

func newCounts() *counts { return &counts{kind: map[string]int{}} }

func (c *counts) add(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kind[kind]++
}

func (c *counts) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := 0
	for _, n := range c.kind {
		sum += n
	}
	return sum
}

// of returns the number of faults of the kinds that the function selects.
func (c *counts) of(selected func(kind string) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := 0
	for kind, n := range c.kind {
		if selected(kind) {
			sum += n
		}
	}
	return sum
}

// String lists the kinds, a line each.
func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(c.kind)) {
		fmt.Fprintf(&text, "%6d %s\n", c.kind[kind], kind)
	}
	return text.String()
}
