// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
)

// Nodes are reserved only if the stock filters accept the gang on them once they are empty.
func TestNodesToReserveAreProved(t *testing.T) {
	busy := []*v1.Pod{cpuPod("x", "4", "l1-a"), cpuPod("y", "4", "l2-a")}
	for _, tc := range []struct {
		name    string
		refused map[string]bool
		alone   string
		want    map[string]bool
	}{
		{"the filters accept all nodes", nil, "", map[string]bool{"l1-a": true, "l1-b": true}},
		{"a node of the first leaf is refused even if empty", map[string]bool{"l1-b": true}, "", map[string]bool{"l2-a": true, "l2-b": true}},
		{"a node of each leaf is refused", map[string]bool{"l1-b": true, "l2-b": true}, "", nil},
		{"the pods that would be gone are the reason for the refusal", nil, "l1-a", map[string]bool{"l1-a": true, "l1-b": true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, busy...)
			f.handle.refused, f.handle.alone = tc.refused, tc.alone
			got, err := f.placer.NodesToReserve(t.Context(), gangOf(2, 2), f.nodes)
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("error %v, nodes (-want,+got):\n%s", err, diff)
			}
			if f.handle.removed == 0 {
				t.Error("the filters' state still has the pods that would be gone")
			}
			fits, err := f.placer.FitsWithout(t.Context(), gangOf(2, 2), busy, f.nodes)
			if fits != (tc.want != nil) || err != nil {
				t.Errorf("the gang fits without the pods: %v, %v", fits, err)
			}
		})
	}
}
