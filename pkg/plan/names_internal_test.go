// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNatural sorts names in natural order.
func TestNatural(t *testing.T) {
	want := []string{"", "01", "1", "2", "a", "a1", "a1b", "a2", "a10", "a10b2", "a10b10", "b", "n9-x", "n10-x", "n99999999999999999999999", "n100000000000000000000000"}
	for i, a := range want {
		for k, b := range want {
			if got, less := natural(a, b), i < k; (got < 0) != less || (got == 0) != (i == k) {
				t.Errorf("natural(%q, %q) is %d", a, b, got)
			}
		}
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, natural)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want,+got)\n%s", diff)
	}
}

// TestBadState checks that an error names the invalid field.
func TestBadState(t *testing.T) {
	layouts := map[string]struct {
		layout Layout
		want   string
	}{
		"a level without a name": {Layout{Levels: []Level{{}}}, "layout: levels[0]: name is empty"},
		"a level named twice":    {Layout{Levels: []Level{{Name: "a"}, {Name: "a"}}}, `layout: levels[1]: name "a" is taken`},
		"a level named node":     {Layout{Levels: []Level{{Name: "node"}}}, `layout: levels[0]: name "node" is taken`},
	}
	for name, c := range layouts {
		if _, err := NewState(c.layout); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	st, err := NewState(Layout{Levels: []Level{{Name: "leaf"}}, Resources: []string{"cpu"}, Kinds: []string{"gpu"}})
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]struct {
		node NodeSpec
		want string
	}{
		"a node without a name": {NodeSpec{}, `node "": name is empty`},
		"too many domains":      {NodeSpec{Name: "n", Domains: []string{"a", "b"}}, `node "n": 2 domains for 1 levels`},
		"too many resources":    {NodeSpec{Name: "n", Free: []int64{1, 2}}, `node "n": 2 free amounts for 1 resources`},
		"too many kinds":        {NodeSpec{Name: "n", Units: []Unit{{}, {Free: []int{1, 2}}}}, `node "n": units[1]: 2 counts for 1 kinds`},
	}
	for name, c := range nodes {
		if err := st.Upsert(c.node); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st.Len() != 0 {
		t.Errorf("%d nodes were added", st.Len())
	}
}
