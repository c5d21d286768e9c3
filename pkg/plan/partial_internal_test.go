// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestUndo puts members on nodes at random and undoes this. Every count must be restored
// (P5).
func TestUndo(t *testing.T) {
	for seed := range uint64(200) {
		pp := randomPartial(t, rand.New(rand.NewPCG(seed, 1)))
		pp.walkUndo(t, rand.New(rand.NewPCG(seed, 2)), 5)
	}
}

func randomPartial(t *testing.T, rng *rand.Rand) *partial {
	t.Helper()
	st, err := NewState(Layout{Levels: []Level{{Name: "spine"}, {Name: "leaf"}}, Resources: []string{"cpu"}, Kinds: []string{"gpu", "nic"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		n := NodeSpec{
			Name: fmt.Sprint("n", i), Free: []int64{int64(rng.IntN(10))},
			Domains: []string{fmt.Sprint("s", i/6), fmt.Sprint("l", i/3)},
			Units:   []Unit{{Free: []int{rng.IntN(3), rng.IntN(3)}}, {Free: []int{rng.IntN(3), rng.IntN(3)}}},
		}
		if err := st.Upsert(n); err != nil {
			t.Fatal(err)
		}
	}
	g := &Gang{Roles: []Role{
		{Name: "pair", Need: Need{Resources: []int64{1}, Devices: []DeviceNeed{{Kinds: []int{0}, Count: 1}, {Kinds: []int{1}, Count: 1}}}},
		{Name: "cpu", Need: Need{Resources: []int64{2}}},
	}}
	for i := range 20 {
		for r := range g.Roles {
			g.Roles[r].Members = append(g.Roles[r].Members, Member{Name: fmt.Sprint(i)})
		}
	}
	p, reason := compile(st.Freeze(), g, nil, Options{}, &Stats{})
	if reason != nil {
		t.Fatal(reason)
	}
	p.batchesFor(p.allMembers())
	return newPartial(p)
}

// walkUndo puts members, recurses, undoes, and compares.
func (pp *partial) walkUndo(t *testing.T, rng *rand.Rand, depth int) {
	t.Helper()
	if depth == 0 {
		return
	}
	before, mark := pp.describe(), len(pp.log)
	for range 3 {
		batch := int32(rng.IntN(len(pp.p.batches)))
		pos := int32(rng.IntN(len(pp.f.names)))
		if n := pp.slots(pp.p.batches[batch].role, pos); n > 0 {
			pp.put(batch, 0, pos, 1+rng.Int32N(n))
		}
		pp.walkUndo(t, rng, depth-1)
	}
	pp.undo(mark)
	if after := pp.describe(); after != before {
		t.Fatalf("before\n%s\nafter\n%s", before, after)
	}
}

// describe prints all data of a partial placement that a search reads.
func (pp *partial) describe() string {
	s := fmt.Sprintln(pp.cost(nil, 0), pp.opened)
	for r := range pp.p.roles {
		for pos := range pp.f.names {
			s += fmt.Sprint(pp.slots(r, int32(pos)), " ")
		}
		for d := 0; d <= pp.f.levels; d++ {
			for v := range pp.f.tables[d].verts {
				s += fmt.Sprint(pp.sum(r, d, int32(v)), " ")
			}
		}
	}
	return s
}
