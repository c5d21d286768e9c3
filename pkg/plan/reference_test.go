// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"sort"
	"strings"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// The reference planner tries every placement. It implements the rules of doc.go and shares
// no code with the planner: it counts by adding single members, matches single devices, and
// compares domains by name.

// simulation is a small cluster and a gang: an input of both planners.
type simulation struct {
	layout plan.Layout
	nodes  []plan.NodeSpec
	gang   plan.Gang
	// caps is the number of members that the filters accept, by role and node
	// name.
	caps []map[string]int
}

func (sim *simulation) fits(role int, node string, already int) bool {
	most, ok := sim.caps[role][node]
	return !ok || already < most
}

func (sim *simulation) snapshot() *plan.Snapshot {
	st, err := plan.NewState(sim.layout)
	if err != nil {
		panic(err)
	}
	for _, n := range sim.nodes {
		if err := st.Upsert(n); err != nil {
			panic(err)
		}
	}
	return st.Freeze()
}

// refUnit is a set of members that the reference planner places together.
type refUnit struct {
	role, n  int
	slice    int // in its role; -1 if the role is not sliced
	partners []int
	names    []string // of its pending members
}

type reference struct {
	sim   *simulation
	lead  int
	slots [][]int // by role and node, counts only
	units []refUnit
	// bound are slices that have bound members.
	bound []refUnit
	// put counts the placed members by role and node. at lists the nodes of each
	// unit's members.
	put   [][]int
	at    [][]int
	memo  map[string]bool
	best  []int64
	nodes map[string]int
	// domains are those of each node, by the level that a rule between members names.
	domains map[string][]string
}

// solve returns the lowest cost, or nil if nothing fits.
func (sim *simulation) solve() []int64 {
	r := &reference{sim: sim, memo: map[string]bool{}, nodes: map[string]int{}}
	for i, n := range sim.nodes {
		r.nodes[n.Name] = i
	}
	r.countSlots()
	all := r.cheapest(r.everyone())
	var min []int64
	for _, q := range r.quorumChoices() {
		if c := r.cheapest(q); c != nil && (min == nil || slices.Compare(c, min) < 0) {
			min = c
		}
	}
	head := 1 + len(sim.layout.Levels)
	if all != nil && (min == nil || slices.Compare(all[:head], min[:head]) <= 0) {
		return all
	}
	return min
}

func (r *reference) everyone() []int {
	var out []int
	for i := range r.sim.gang.Roles {
		out = append(out, len(r.sim.gang.Roles[i].Members))
	}
	return out
}

// countSlots adds members of each role alone until they no longer fit. It then finds the
// leading role.
func (r *reference) countSlots() {
	total := make([]int, len(r.sim.gang.Roles))
	for i := range r.sim.gang.Roles {
		r.slots = append(r.slots, make([]int, len(r.sim.nodes)))
		for n := range r.sim.nodes {
			put := make([]int, len(r.sim.gang.Roles))
			for {
				put[i]++
				if !r.room(n, put) {
					break
				}
				r.slots[i][n]++
			}
			total[i] += r.slots[i][n]
		}
	}
	key := func(i int) (int, int, string) {
		devices := 0
		for _, d := range r.sim.gang.Roles[i].Need.Devices {
			devices += d.Count
		}
		return total[i], -devices, r.sim.gang.Roles[i].Name
	}
	for i := range r.sim.gang.Roles {
		a, b, c := key(i)
		x, y, z := key(r.lead)
		if a < x || a == x && (b < y || b == y && c < z) {
			r.lead = i
		}
	}
}

// room returns true if the members of each role fit on a node by counts alone.
func (r *reference) room(n int, put []int) bool {
	var key strings.Builder
	key.WriteByte(byte(n))
	for _, k := range put {
		key.WriteByte(byte(k))
	}
	ok, cached := r.memo[key.String()]
	if !cached {
		ok = r.roomFor(n, put)
		r.memo[key.String()] = ok
	}
	return ok
}

func (r *reference) roomFor(n int, put []int) bool {
	node := &r.sim.nodes[n]
	if node.Unschedulable {
		return slices.Max(put) == 0
	}
	if r.tooMany(put) {
		return false
	}
	for res := range r.sim.layout.Resources {
		used, free := int64(0), int64(0)
		if res < len(node.Free) {
			free = node.Free[res]
		}
		for i, k := range put {
			if need := r.sim.gang.Roles[i].Need.Resources; res < len(need) {
				used += int64(k) * need[res]
			}
		}
		if used > 0 && used > free {
			return false
		}
	}
	var wanted [][]int
	for i, k := range put {
		need := &r.sim.gang.Roles[i].Need
		if need.Aligned && r.unpaired(i, n, k) > 0 {
			return false
		}
		for range k {
			for _, d := range need.Devices {
				for range d.Count {
					wanted = append(wanted, d.Kinds)
				}
			}
		}
	}
	return r.match(node, wanted)
}

// match finds a device for each kind list by augmenting paths. It returns false if there is
// none for some list.
func (r *reference) match(node *plan.NodeSpec, wanted [][]int) bool {
	var devices []int // the kind of each device
	for _, u := range node.Units {
		for k, c := range u.Free {
			for range c {
				devices = append(devices, k)
			}
		}
	}
	owner := make([]int, len(devices))
	for i := range owner {
		owner[i] = -1
	}
	var give func(w int, seen []bool) bool
	give = func(w int, seen []bool) bool {
		for d, kind := range devices {
			if seen[d] || !slices.Contains(wanted[w], kind) {
				continue
			}
			seen[d] = true
			if owner[d] < 0 || give(owner[d], seen) {
				owner[d] = w
				return true
			}
		}
		return false
	}
	for w := range wanted {
		if !give(w, make([]bool, len(devices))) {
			return false
		}
	}
	return true
}

// unpaired returns the fewest unpaired followers. It tries every way to take the anchors
// from the units.
func (r *reference) unpaired(role, n, k int) int {
	need := &r.sim.gang.Roles[role].Need
	if len(need.Devices) < 2 || need.Devices[0].Count == 0 {
		return 0
	}
	a, sum := need.Devices[0], 0
	units := r.sim.nodes[n].Units
	for _, f := range need.Devices[1:] {
		if f.Count == 0 {
			continue
		}
		ratio := (f.Count + a.Count - 1) / a.Count
		best := 0
		var try func(u, left, have int)
		try = func(u, left, have int) {
			best = max(best, have)
			if u == len(units) {
				return
			}
			for take := 0; take <= left && take <= freeOf(units[u], a.Kinds); take++ {
				try(u+1, left-take, have+min(freeOf(units[u], f.Kinds), ratio*take))
			}
		}
		try(0, k*a.Count, 0)
		sum += max(0, k*f.Count-best)
	}
	return sum
}

func freeOf(u plan.Unit, kinds []int) int {
	n := 0
	for k, c := range u.Free {
		if slices.Contains(kinds, k) {
			n += c
		}
	}
	return n
}

// cheapest places that many members of each role in every possible way.
func (r *reference) cheapest(want []int) []int64 {
	r.units, r.bound, r.best = nil, nil, nil
	r.put, r.at = nil, nil
	for i := range r.sim.gang.Roles {
		r.put = append(r.put, make([]int, len(r.sim.nodes)))
		r.addUnits(i, want[i])
	}
	r.at = make([][]int, len(r.units))
	r.place(0, 0, 0)
	return r.best
}

// addUnits divides the first pending members of a role into slices.
func (r *reference) addUnits(role, want int) {
	ro := &r.sim.gang.Roles[role]
	members := slices.Clone(ro.Members)
	sort.SliceStable(members, func(a, b int) bool {
		if members[a].Rank != members[b].Rank {
			return members[a].Rank < members[b].Rank
		}
		return members[a].Name < members[b].Name
	})
	ranks := map[int]bool{}
	for _, m := range members {
		ranks[m.Rank] = true
	}
	left := want - r.boundOf(role)
	byIndex := map[int]*refUnit{}
	var order []int
	for i, m := range members {
		k := -1
		if ro.Slice.Size > 1 {
			k = i / ro.Slice.Size
			if len(ranks) == len(members) {
				k = m.Rank / ro.Slice.Size
			}
		}
		if byIndex[k] == nil {
			byIndex[k] = &refUnit{role: role, slice: k}
			order = append(order, k)
		}
		u := byIndex[k]
		if m.Node == "" {
			u.n++
			u.names = append(u.names, m.Name)
		} else if n, ok := r.nodes[m.Node]; ok {
			u.partners = append(u.partners, n)
		}
	}
	for _, k := range order {
		u := byIndex[k]
		if k >= 0 && len(u.partners) > 0 {
			r.bound = append(r.bound, *u)
		}
		if u.n == 0 || left <= 0 {
			continue
		}
		if k < 0 {
			u.n = min(u.n, left)
		}
		left -= u.n
		r.units = append(r.units, *u)
	}
}

// place tries every node from index from on for the next member of a unit.
func (r *reference) place(u, n, from int) {
	if u == len(r.units) {
		r.evaluate()
		return
	}
	x := &r.units[u]
	if n == x.n {
		r.place(u+1, 0, 0)
		return
	}
	for node := from; node < len(r.sim.nodes); node++ {
		r.put[x.role][node]++
		if r.holds(x.role, node) {
			r.at[u] = append(r.at[u], node)
			r.place(u, n+1, node)
			r.at[u] = r.at[u][:len(r.at[u])-1]
		}
		r.put[x.role][node]--
	}
}

func (r *reference) holds(role, node int) bool {
	put := make([]int, len(r.put))
	for i := range r.put {
		put[i] = r.put[i][node]
	}
	name := r.sim.nodes[node].Name
	if most, ok := r.sim.gang.Roles[role].Limit[name]; ok && put[role] > most {
		return false
	}
	if only := r.sim.gang.Roles[role].Nodes; only != nil && !slices.Contains(only, name) {
		return false
	}
	return r.sim.fits(role, name, put[role]-1) && r.room(node, put) && r.apart(role, node) && r.supplied(role, node) && !r.conflicting()
}
