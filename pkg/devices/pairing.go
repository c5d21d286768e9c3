// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import "slices"

// Supply counts the GPUs and NICs of one alignment unit (devices of a node that are close
// to each other): FreeGPUs and FreeNICs those that the pod could use, AllGPUs and AllNICs
// every device, whether the pod could use it or not.
type Supply struct {
	FreeGPUs, FreeNICs int
	AllGPUs, AllNICs   int
	// NUMA is the unit's NUMA node, -1 if unknown. NICs of a unit whose NUMA node is
	// unknown never count as crossing NUMA nodes.
	NUMA int
	// Loose is true for the last unit, which has the devices that are in no other unit.
	// No NIC in it is paired with a GPU.
	Loose bool
}

// Demand is a pod's demand for GPUs and NICs of a node.
type Demand struct {
	GPUs, NICs int
	// Rails are the indices of the alignment units that other members of the pod's gang
	// (pods that start together) use on their nodes. The pod uses the same units if this
	// costs no alignment. Empty means no preference.
	Rails []int
}

// Taken is the number of devices that a pod takes from one alignment unit.
type Taken struct{ GPUs, NICs int }

// Pairing is the best choice of alignment units for a pod's devices.
type Pairing struct {
	// Takes has, by alignment unit, the number of devices taken.
	Takes []Taken
	// Unpaired counts the pod's NICs that no GPU pairs with: each GPU of the pod pairs
	// with its share of the pod's NICs, in its own unit. Crossing counts the NICs of each
	// NUMA node beyond the share of the pod's GPUs there.
	Unpaired, Crossing int
	// PairsLost is how many free GPUs of the node lose the NICs that they could pair
	// with: the next pod finds that many fewer pairs.
	PairsLost int
}

// Pair chooses the alignment units (devices that are close to each other, as on one PCIe
// root) for a pod's devices. It returns false if the node does not have enough free
// devices. The choice is optimal in this order: fewest unpaired NICs, fewest NICs across
// NUMA nodes, fewest NUMA nodes, fewest units that other members of the gang do not use.
// Of equal choices it takes the one that leaves most to the next pod: pairs of a free GPU
// and its NICs, then free GPUs that are together in units, then in NUMA nodes. All these
// terms add up over units and NUMA nodes. It is therefore exact to add one unit after the
// other and to keep only the cheapest choice for each number of devices.
func Pair(units []Supply, demand Demand) (Pairing, bool) {
	s := solver{demand: demand, share: 1}
	if demand.GPUs > 0 {
		s.share = max(1, (demand.NICs+demand.GPUs-1)/demand.GPUs)
	}
	groups := numaGroups(units)
	total := newTable(demand.GPUs, demand.NICs)
	total.start()
	inner := make([]*table, len(groups))
	for i, group := range groups {
		inner[i] = s.solveGroup(units, group)
		total = total.join(inner[i])
	}
	best := total.at(demand.GPUs, demand.NICs)
	if !best.reached {
		return Pairing{}, false
	}
	pairing := Pairing{
		Takes: make([]Taken, len(units)), Unpaired: best.cost[costUnpaired],
		Crossing: best.cost[costCrossing], PairsLost: best.cost[costPairsLost],
	}
	for i, part := range total.history(Taken{demand.GPUs, demand.NICs}) {
		for j, take := range inner[i].history(part) {
			pairing.Takes[groups[i][j]] = take
		}
	}
	return pairing, true
}

// numaGroups groups the indices of alignment units by NUMA node, in the order of their
// first unit. Each unit with an unknown NUMA node is a group of its own.
func numaGroups(units []Supply) [][]int {
	var groups [][]int
	groupOf := map[int]int{}
	for i := range units {
		numa := units[i].NUMA
		if at, seen := groupOf[numa]; seen && numa != unknownNUMA {
			groups[at] = append(groups[at], i)
			continue
		}
		groupOf[numa] = len(groups)
		groups = append(groups, []int{i})
	}
	return groups
}

// Terms of the cost of a choice of alignment units, most important first.
const (
	costUnpaired = iota
	costCrossing
	costNUMANodes
	costOffRail
	costPairsLost
	costUnitsBroken
	costNUMABroken
	costTerms
)

// cost is the cost of taking devices from some alignment units. It is compared term by
// term. Costs of disjoint units add up.
type cost [costTerms]int

func (c cost) plus(other cost) cost {
	for i := range c {
		c[i] += other[i]
	}
	return c
}

func (c cost) less(other cost) bool { return slices.Compare(c[:], other[:]) < 0 }

type solver struct {
	demand Demand
	// share is the number of the pod's NICs that belong to each GPU of the pod.
	share int
}

// solveGroup returns the cheapest way to take each number of devices from the alignment
// units of one NUMA node.
func (s *solver) solveGroup(units []Supply, group []int) *table {
	gpus, nics, pairs := 0, 0, 0
	for _, i := range group {
		gpus += units[i].FreeGPUs
		nics += units[i].FreeNICs
		pairs += units[i].pairs(0, 0)
	}
	t := newTable(min(gpus, s.demand.GPUs), min(nics, s.demand.NICs))
	t.start()
	for _, i := range group {
		t = t.join(s.unitTable(units, i))
	}
	for i := range t.entries {
		take := t.take(i)
		t.entries[i].cost = t.entries[i].cost.plus(s.groupCost(&units[group[0]], take, gpus))
	}
	return t
}

// unitTable returns the cost of taking each number of devices from one alignment unit.
func (s *solver) unitTable(units []Supply, unit int) *table {
	supply := &units[unit]
	t := newTable(min(supply.FreeGPUs, s.demand.GPUs), min(supply.FreeNICs, s.demand.NICs))
	for i := range t.entries {
		t.entries[i] = entry{reached: true, cost: s.unitCost(supply, unit, t.take(i))}
	}
	return t
}

func (s *solver) unitCost(supply *Supply, unit int, take Taken) cost {
	var c cost
	c[costUnpaired] = take.NICs
	paired := 0
	if !supply.Loose {
		paired = min(take.NICs, take.GPUs*s.share)
	}
	c[costUnpaired] -= paired
	if take != (Taken{}) && len(s.demand.Rails) > 0 && !slices.Contains(s.demand.Rails, unit) {
		c[costOffRail] = 1
	}
	c[costPairsLost] = supply.pairs(0, 0) - supply.pairs(take.GPUs, take.NICs)
	left := supply.FreeGPUs - take.GPUs
	c[costUnitsBroken] = -left * left
	return c
}

// pairs returns how many GPUs of the unit keep their share of its NICs after this number
// of GPUs and NICs is taken from the unit.
func (s *Supply) pairs(gpus, nics int) int {
	if s.Loose {
		return 0
	}
	share := 1
	if s.AllGPUs > 0 {
		share = max(1, s.AllNICs/s.AllGPUs)
	}
	return min(s.FreeGPUs-gpus, (s.FreeNICs-nics)/share)
}

// groupCost returns the cost of taking devices from a NUMA node, without the cost of its
// units. first is one of its units, free the number of free GPUs of the NUMA node.
func (s *solver) groupCost(first *Supply, take Taken, free int) cost {
	var c cost
	left := free - take.GPUs
	c[costNUMABroken] = -left * left
	if first.NUMA == unknownNUMA {
		return c
	}
	c[costCrossing] = max(0, take.NICs-take.GPUs*s.share)
	if take != (Taken{}) {
		c[costNUMANodes] = 1
	}
	return c
}

// table has, for each number of GPUs and NICs, the cheapest way to take them from some
// alignment units.
type table struct {
	gpus, nics int
	entries    []entry
	// before and last are the two tables from which this table was joined, nil for a
	// table that was not joined.
	before, last *table
}

type entry struct {
	reached bool
	cost    cost
	// of is how many of the devices are taken from the units of the table last.
	of Taken
}

func newTable(gpus, nics int) *table {
	return &table{gpus: gpus, nics: nics, entries: make([]entry, (gpus+1)*(nics+1))}
}

// start makes taking no devices possible, at zero cost.
func (t *table) start() { t.entries[0].reached = true }

func (t *table) at(gpus, nics int) *entry { return &t.entries[gpus*(t.nics+1)+nics] }

func (t *table) take(i int) Taken { return Taken{GPUs: i / (t.nics + 1), NICs: i % (t.nics + 1)} }

// join returns the table for the units of t and of part together. Among choices with
// equal cost it keeps the one that takes most from the units of t.
func (t *table) join(part *table) *table {
	joined := newTable(t.gpus, t.nics)
	joined.before, joined.last = t, part
	for j := range part.entries {
		if !part.entries[j].reached {
			continue
		}
		for i := range t.entries {
			if t.entries[i].reached {
				joined.update(t.take(i), part.take(j), t.entries[i].cost.plus(part.entries[j].cost))
			}
		}
	}
	return joined
}

func (t *table) update(before, part Taken, c cost) {
	gpus, nics := before.GPUs+part.GPUs, before.NICs+part.NICs
	if gpus > t.gpus || nics > t.nics {
		return
	}
	if e := t.at(gpus, nics); !e.reached || c.less(e.cost) {
		*e = entry{reached: true, cost: c, of: part}
	}
}

// history returns, for the cheapest way to take these devices, how many come from each
// table that was joined, the first table first.
func (t *table) history(take Taken) []Taken {
	var parts []Taken
	for ; t.before != nil; t = t.before {
		part := t.at(take.GPUs, take.NICs).of
		parts = append(parts, part)
		take = Taken{GPUs: take.GPUs - part.GPUs, NICs: take.NICs - part.NICs}
	}
	slices.Reverse(parts)
	return parts
}
