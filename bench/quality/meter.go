// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// spot is where a job stands when it starts.
type spot struct {
	nodes, leaves, spines int
	// fewestNodes and so on are what a job of its size takes in an empty cluster.
	fewestNodes, fewestLeaves, fewestSpines int
	nics, unpaired                          int
}

func (s *sim) look(e *entry) spot {
	nodes, leaves, spines := map[int]bool{}, map[int]bool{}, map[int]bool{}
	var at spot
	for _, p := range e.pods {
		nodes[p.machine.index], leaves[p.machine.leaf], spines[p.machine.spine] = true, true, true
		at.nics += p.shape.nics
		at.unpaired += unpaired(p)
	}
	at.nodes, at.leaves, at.spines = len(nodes), len(leaves), len(spines)
	perNode := int(s.machines[0].all.gpus) / e.shape.gpus
	at.fewestNodes = ceil(len(e.pods), perNode)
	at.fewestLeaves = ceil(at.fewestNodes, s.spec.Nodes)
	at.fewestSpines = ceil(at.fewestLeaves, s.spec.Leaves)
	return at
}

func ceil(a, b int) int { return (a + b - 1) / b }

// unpaired counts the pod's NICs that stand beside no GPU of its own, each GPU
// counting for its share of them, by the hardware's data.
func unpaired(p *pod) int {
	if p.shape.nics == 0 {
		return 0
	}
	share := ceil(p.shape.nics, p.shape.gpus)
	beside := map[int]int{}
	for _, name := range p.devices {
		if unit := p.machine.places[name].Unit; isGPU(name) && unit != fleet.NoUnit {
			beside[unit] += share
		}
	}
	count := 0
	for _, name := range p.devices {
		if isGPU(name) {
			continue
		}
		if unit := p.machine.places[name].Unit; beside[unit] > 0 {
			beside[unit]--
		} else {
			count++
		}
	}
	return count
}

// warmUp is the part of the window, in which the cluster fills, that meters leave
// out.
const warmUp = 0.1

// meter adds up, over the time in which jobs arrive, what is in use and what
// could still be placed.
type meter struct {
	seconds, held, useful float64
	free, whole           float64
	// leafFit and spineFit are GPUs of the largest gang of whole nodes that fits
	// into one domain; the others are what would fit if all that is free stood
	// together.
	leafFit, leafMost, spineFit, spineMost float64
	pairs                                  float64
}

// advance counts the state that lasts from now to the next moment.
func (m *meter) advance(s *sim, next time.Duration) {
	from := max(s.now, time.Duration(warmUp*float64(s.window)))
	dt := (min(next, s.window) - from).Seconds()
	if dt <= 0 {
		return
	}
	var free, whole, pairs float64
	leaf, spine := map[int]float64{}, map[int]float64{}
	for _, one := range s.machines {
		free += float64(one.free.gpus)
		pairs += float64(one.pairs)
		if one.free == one.all {
			whole += float64(one.all.gpus)
			leaf[one.leaf] += float64(one.all.gpus)
			spine[one.spine] += float64(one.all.gpus)
		}
	}
	node := float64(s.machines[0].all.gpus)
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
	m.whole += dt * whole
	m.pairs += dt * pairs
	m.leafFit += dt * most(leaf)
	m.leafMost += dt * min(inLeaf, together)
	m.spineFit += dt * most(spine)
	m.spineMost += dt * min(inSpine, together)
}

func most(of map[int]float64) float64 {
	n := 0.0
	for _, v := range of {
		n = max(n, v)
	}
	return n
}

// freePairs counts free GPUs that have a free NIC beside them.
func (m *machine) freePairs() int {
	gpus, nics := map[int]int{}, map[int]int{}
	for name, place := range m.places {
		switch {
		case m.holders[name] != nil || place.Unit == fleet.NoUnit:
		case isGPU(name):
			gpus[place.Unit]++
		default:
			nics[place.Unit]++
		}
	}
	n := 0
	for unit, g := range gpus {
		n += min(g, nics[unit])
	}
	return n
}
