// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// simulation is a random series of correct events in a cluster. It creates gangs of up to
// five one-GPU pods, places each gang that fits as a unit, deletes members, and finishes
// and deletes gangs.
type simulation struct {
	*judgeFixture
	random *rand.Rand
	gangs  []*simulatedGang
	// holderOf holds the pod of each allocated GPU, by "node gpu".
	holderOf  map[string]string
	submitted int
	// fault, if not nil, replaces a correct placement once and returns the start of the
	// violation that the judge must report.
	fault func(s *simulation, g *simulatedGang, free []freeGPU) (found string)
	found string
}

type simulatedGang struct {
	name  string
	min   int
	pods  []string
	bound bool
}

// freeGPU is a GPU that no pod holds.
type freeGPU struct{ node, gpu string }

var simulatedNodes = []string{"n1", "n2", "n3", "n4"}

func newSimulation(seed uint64) *simulation {
	s := &simulation{judgeFixture: newJudgeFixture(), random: rand.New(rand.NewPCG(seed, 0)), holderOf: map[string]string{}}
	for _, node := range simulatedNodes {
		s.node(node)
	}
	return s
}

// run simulates a number of events.
func (s *simulation) run(events int) {
	for range events {
		switch s.random.IntN(6) {
		case 0, 1:
			s.submit()
		case 2, 3:
			s.schedule()
		case 4:
			s.loseMember()
		case 5:
			s.finish()
		}
		s.advance(time.Duration(s.random.IntN(3000)) * time.Millisecond)
	}
	s.advance(2 * pastGrace)
}

func (s *simulation) submit() {
	s.submitted++
	g := &simulatedGang{name: fmt.Sprintf("g%d", s.submitted), min: 2 + s.random.IntN(4)}
	declare := func() { s.coscheduling(g.name, map[string]any{"minMember": int64(g.min)}) }
	before := s.random.IntN(2) == 0
	if before {
		declare()
	}
	for i := range g.min {
		g.pods = append(g.pods, s.waitingMember(g, i))
	}
	if !before {
		declare()
	}
	s.gangs = append(s.gangs, g)
}

func (s *simulation) waitingMember(g *simulatedGang, i int) string {
	name := fmt.Sprintf("%s-%d", g.name, i)
	s.pod(name, inCoscheduling(g.name), withClaim(name))
	s.claim(name, "", "")
	return name
}

// schedule places all pods of the first gang that fits.
func (s *simulation) schedule() {
	free := s.free()
	for _, g := range s.gangs {
		if g.bound || len(g.pods) > len(free) {
			continue
		}
		g.bound = true
		if s.fault != nil {
			s.found, s.fault = s.fault(s, g, free), nil
			return
		}
		for i, pod := range g.pods {
			s.place(pod, free[i])
			s.advance(time.Duration(s.random.IntN(900)) * time.Millisecond)
		}
		return
	}
}

// place allocates and binds in random order, because the checker may receive either event
// first.
func (s *simulation) place(pod string, at freeGPU) {
	s.holderOf[at.node+" "+at.gpu] = pod
	steps := []func(){func() { s.claim(pod, pod, at.node, at.gpu) }, func() { s.bind(at.node, pod) }}
	s.random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, step := range steps {
		step()
	}
}

func (s *simulation) free() []freeGPU {
	var free []freeGPU
	for _, node := range simulatedNodes {
		for _, gpu := range []string{"gpu-0", "gpu-1"} {
			if s.holderOf[node+" "+gpu] == "" {
				free = append(free, freeGPU{node, gpu})
			}
		}
	}
	return free
}

// loseMember deletes a bound pod. In half of the cases the pod fails first. Its gang stays
// below its minimum.
func (s *simulation) loseMember() {
	for _, g := range s.gangs {
		if !g.bound || len(g.pods) == 0 {
			continue
		}
		pod := g.pods[0]
		if s.random.IntN(2) == 0 {
			s.edit(phase(v1.PodFailed), pod)
		}
		s.deletePod(pod)
		g.pods = g.pods[1:]
		return
	}
}

// finish deletes a gang with its pods and claims. Half of the bound gangs succeed first.
func (s *simulation) finish() {
	if len(s.gangs) == 0 {
		return
	}
	at := s.random.IntN(len(s.gangs))
	g := s.gangs[at]
	s.gangs = append(s.gangs[:at:at], s.gangs[at+1:]...)
	if g.bound && s.random.IntN(2) == 0 {
		s.edit(phase(v1.PodSucceeded), g.pods...)
	}
	if s.random.IntN(2) == 0 {
		s.coscheduling(g.name, nil)
	}
	for _, pod := range g.pods {
		s.deletePod(pod)
	}
}

// deletePod deletes a pod and its claim and frees its GPU.
func (s *simulation) deletePod(pod string) {
	s.remove(pod)
	if was := s.claimBy[pod]; was != nil {
		delete(s.claimBy, pod)
		s.claimChanged(was, nil, s.now)
	}
	for at, holder := range s.holderOf {
		if holder == pod {
			delete(s.holderOf, at)
		}
	}
}

const simulationCount = 100

func TestLegalSimulationsHaveNoViolation(t *testing.T) {
	bindings := 0
	for seed := range uint64(simulationCount) {
		s := newSimulation(seed)
		s.run(60)
		if found := s.findings(); len(found) > 0 {
			t.Fatalf("seed %d: violations in a correct simulation: %q", seed, found)
		}
		bindings += s.bindings
	}
	t.Logf("%d simulations with %d bindings", simulationCount, bindings)
	if bindings < 10*simulationCount {
		t.Errorf("%d bindings in %d simulations are too few", bindings, simulationCount)
	}
}

// faults are wrong placements, each with the start of its violation.
var faults = map[string]func(s *simulation, g *simulatedGang, free []freeGPU) string{
	"a part of a gang": func(s *simulation, g *simulatedGang, free []freeGPU) string {
		s.place(g.pods[0], free[0])
		s.advance(2 * pastGrace)
		return "I1: gang PodGroup ml/" + g.name
	},
	"a device in two claims": func(s *simulation, g *simulatedGang, free []freeGPU) string {
		for i, pod := range g.pods {
			s.place(pod, free[i])
		}
		s.claim("taker", "", free[1].node, free[1].gpu)
		return fmt.Sprintf("I2: device gpu.example.com/%s/%s", free[1].node, free[1].gpu)
	},
	"a device of another node": func(s *simulation, g *simulatedGang, free []freeGPU) string {
		for i, pod := range g.pods[1:] {
			s.place(pod, free[i+1])
		}
		s.claim(g.pods[0], g.pods[0], free[0].node, "gpu-9")
		s.bind(free[0].node, g.pods[0])
		return "I2: pod ml/" + g.pods[0]
	},
	"an over-committed node": func(s *simulation, g *simulatedGang, free []freeGPU) string {
		s.edit(func(p *v1.Pod) { p.Spec.Overhead = v1.ResourceList{"cpu": s.nodeBy["n1"].Status.Allocatable["cpu"]} }, g.pods[0])
		for i, pod := range g.pods {
			s.place(pod, free[i])
		}
		return "I2: pod ml/" + g.pods[0]
	},
	"a device held by a waiting gang": func(s *simulation, g *simulatedGang, free []freeGPU) string {
		s.claim(g.pods[0], g.pods[0], free[0].node, free[0].gpu)
		s.advance(2 * pastGrace)
		return "I4: claim ml/" + g.pods[0]
	},
}

func TestEveryFaultIsFound(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			done := 0
			for seed := range uint64(simulationCount) {
				s := newSimulation(seed)
				s.fault = fault
				s.run(30)
				if s.fault != nil {
					continue // This simulation scheduled no gang.
				}
				done++
				if found := strings.Join(s.findings(), "\n"); !strings.Contains(found, s.found) {
					t.Fatalf("seed %d: want %q found, got:\n%s", seed, s.found, found)
				}
			}
			if done < simulationCount/2 {
				t.Errorf("the fault happened in %d of %d simulations", done, simulationCount)
			}
		})
	}
}
