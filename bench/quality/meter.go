// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// footprint is the set of nodes and domains that a job uses when it starts.
type footprint struct {
	nodes, leaves, spines int
	// fewestNodes, fewestLeaves and fewestSpines are the minimum numbers for a job of its
	// size in an empty cluster.
	fewestNodes, fewestLeaves, fewestSpines int
	nics, unpaired                          int
}

func (s *sim) footprintOf(e *entry) footprint {
	nodes, leaves, spines := map[int]bool{}, map[int]bool{}, map[int]bool{}
	var at footprint
	for _, p := range e.pods {
		nodes[p.machine.index], leaves[p.machine.leaf], spines[p.machine.spine] = true, true, true
		at.nics += p.shape.nics
		at.unpaired += unpaired(p)
	}
	at.nodes, at.leaves, at.spines = len(nodes), len(leaves), len(spines)
	perNode := int(s.machines[0].capacity.gpus) / e.shape.gpus
	at.fewestNodes = ceilDiv(len(e.pods), perNode)
	at.fewestLeaves = ceilDiv(at.fewestNodes, s.spec.Nodes)
	at.fewestSpines = ceilDiv(at.fewestLeaves, s.spec.Leaves)
	return at
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// unpaired returns the number of the pod's NICs without a GPU of the pod in their
// alignment unit (a GPU and its NICs). Each GPU pairs with an equal number of the NICs.
func unpaired(p *pod) int {
	if p.shape.nics == 0 {
		return 0
	}
	share := ceilDiv(p.shape.nics, p.shape.gpus)
	beside := map[int]int{}
	for _, name := range p.devices {
		if unit := p.machine.positions[name].Unit; isGPU(name) && unit != fleet.NoUnit {
			beside[unit] += share
		}
	}
	count := 0
	for _, name := range p.devices {
		if isGPU(name) {
			continue
		}
		if unit := p.machine.positions[name].Unit; beside[unit] > 0 {
			beside[unit]--
		} else {
			count++
		}
	}
	return count
}

// warmUp is the fraction of sim.window, the time in which jobs arrive, in which the
// cluster fills. The meter skips this time.
const warmUp = 0.1

// meter integrates the resources in use and the room for further gangs over the time in
// which jobs arrive.
type meter struct {
	seconds, held, useful float64
	free, idle            float64
	// leafFit and spineFit are the GPUs of the largest gang of idle nodes that fits into
	// one domain. leafMost and spineMost are the same if all free GPUs were in one place.
	leafFit, leafMost, spineFit, spineMost float64
	pairs                                  float64
}

// advance adds the state from now until the next event.
func (m *meter) advance(s *sim, next time.Duration) {
	from := max(s.now, time.Duration(warmUp*float64(s.window)))
	dt := (min(next, s.window) - from).Seconds()
	if dt <= 0 {
		return
	}
	var free, idle, pairs float64
	leaf, spine := map[int]float64{}, map[int]float64{}
	for _, machine := range s.machines {
		free += float64(machine.free.gpus)
		pairs += float64(machine.pairs)
		if machine.free == machine.capacity {
			idle += float64(machine.capacity.gpus)
			leaf[machine.leaf] += float64(machine.capacity.gpus)
			spine[machine.spine] += float64(machine.capacity.gpus)
		}
	}
	node := float64(s.machines[0].capacity.gpus)
	inLeaf, inSpine := node*float64(s.spec.Nodes), node*float64(s.spec.Nodes*s.spec.Leaves)
	together := node * float64(int(free/node))
	partial := 0.0
	for _, e := range s.queue {
		partial += float64(e.bound * e.shape.gpus)
	}
	held := float64(s.gpus()) - free
	m.seconds += dt
	m.held += dt * held
	m.useful += dt * (held - partial)
	m.free += dt * free
	m.idle += dt * idle
	m.pairs += dt * pairs
	m.leafFit += dt * largest(leaf)
	m.leafMost += dt * min(inLeaf, together)
	m.spineFit += dt * largest(spine)
	m.spineMost += dt * min(inSpine, together)
}

func largest(of map[int]float64) float64 {
	n := 0.0
	for _, v := range of {
		n = max(n, v)
	}
	return n
}

// freePairs returns the number of free GPUs with a free NIC in their alignment unit (a
// GPU and its NICs).
func (m *machine) freePairs() int {
	gpus, nics := map[int]int{}, map[int]int{}
	for name, position := range m.positions {
		switch {
		case m.holders[name] != nil || position.Unit == fleet.NoUnit:
		case isGPU(name):
			gpus[position.Unit]++
		default:
			nics[position.Unit]++
		}
	}
	n := 0
	for unit, g := range gpus {
		n += min(g, nics[unit])
	}
	return n
}
