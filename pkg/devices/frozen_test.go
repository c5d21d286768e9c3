// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every list stays unchanged after later lists were derived from it, over many chunks.
func TestFrozenListsDoNotChange(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	const places = 5 * frozenChunk
	var list frozen
	plain := make([]*NodeDevices, places)
	read := func(f frozen) []*NodeDevices {
		all := make([]*NodeDevices, places)
		for i := range all {
			all[i] = f.at(i)
		}
		return all
	}
	for step := range 200 {
		before, old := list, read(list)
		var changed []int
		for range random.IntN(5) {
			changed = append(changed, random.IntN(places))
		}
		slices.Sort(changed)
		changed = slices.Compact(changed)
		for _, i := range changed {
			plain[i] = &NodeDevices{PodLimits: []int{step}}
		}
		list = list.with(changed, func(i int) *NodeDevices { return plain[i] })
		if diff := cmp.Diff(plain, read(list)); diff != "" {
			t.Fatalf("step %d: (-want,+got):\n%s", step, diff)
		}
		if diff := cmp.Diff(old, read(before)); diff != "" {
			t.Fatalf("step %d: the list before changed (-before,+after):\n%s", step, diff)
		}
	}
}
