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

// life is a random but legal life of a cluster: gangs of up to five one-GPU pods
// come, are placed whole when they fit, lose members, finish and go.
type life struct {
	*judgeFixture
	random *rand.Rand
	gangs  []*livingGang
	// taken says which pod has which GPU, by "node gpu".
	taken map[string]string
	made  int
	// fault, if not nil, is done once instead of a legal placement and says what
	// the judge must find.
	fault func(l *life, g *livingGang, free []spot) (found string)
	found string
}

type livingGang struct {
	name  string
	min   int
	pods  []string
	bound bool
}

// spot is a free GPU.
type spot struct{ node, gpu string }

var lifeNodes = []string{"n1", "n2", "n3", "n4"}

func newLife(seed uint64) *life {
	l := &life{judgeFixture: newJudgeFixture(), random: rand.New(rand.NewPCG(seed, 0)), taken: map[string]string{}}
	for _, node := range lifeNodes {
		l.node(node)
	}
	return l
}

// run lets the cluster live for some events.
func (l *life) run(events int) {
	for range events {
		switch l.random.IntN(6) {
		case 0, 1:
			l.submit()
		case 2, 3:
			l.schedule()
		case 4:
			l.loseMember()
		case 5:
			l.end()
		}
		l.pass(time.Duration(l.random.IntN(3000)) * time.Millisecond)
	}
	l.pass(2 * patience)
}

func (l *life) submit() {
	l.made++
	g := &livingGang{name: fmt.Sprintf("g%d", l.made), min: 2 + l.random.IntN(4)}
	declare := func() { l.coschedulingGroup(g.name, map[string]any{"minMember": int64(g.min)}) }
	before := l.random.IntN(2) == 0
	if before {
		declare()
	}
	for i := range g.min {
		g.pods = append(g.pods, l.waitingMember(g, i))
	}
	if !before {
		declare()
	}
	l.gangs = append(l.gangs, g)
}

func (l *life) waitingMember(g *livingGang, i int) string {
	name := fmt.Sprintf("%s-%d", g.name, i)
	l.pod(name, inCoschedulingGroup(g.name), withClaim(name))
	l.claim(name, "", "")
	return name
}

// schedule places the first gang that fits, whole.
func (l *life) schedule() {
	free := l.free()
	for _, g := range l.gangs {
		if g.bound || len(g.pods) > len(free) {
			continue
		}
		g.bound = true
		if l.fault != nil {
			l.found, l.fault = l.fault(l, g, free), nil
			return
		}
		for i, pod := range g.pods {
			l.place(pod, free[i])
			l.pass(time.Duration(l.random.IntN(900)) * time.Millisecond)
		}
		return
	}
}

// place allocates and binds; the checker may see the two in either order.
func (l *life) place(pod string, at spot) {
	l.taken[at.node+" "+at.gpu] = pod
	steps := []func(){func() { l.claim(pod, pod, at.node, at.gpu) }, func() { l.bind(at.node, pod) }}
	l.random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, step := range steps {
		step()
	}
}

func (l *life) free() []spot {
	var free []spot
	for _, node := range lifeNodes {
		for _, gpu := range []string{"gpu-0", "gpu-1"} {
			if l.taken[node+" "+gpu] == "" {
				free = append(free, spot{node, gpu})
			}
		}
	}
	return free
}

// loseMember deletes a bound pod, or lets it fail; its gang stays below its minimum.
func (l *life) loseMember() {
	for _, g := range l.gangs {
		if !g.bound || len(g.pods) == 0 {
			continue
		}
		pod := g.pods[0]
		if l.random.IntN(2) == 0 {
			l.edit(phase(v1.PodFailed), pod)
		}
		l.forget(pod)
		g.pods = g.pods[1:]
		return
	}
}

// end deletes a gang with all that it has, or lets it succeed first.
func (l *life) end() {
	if len(l.gangs) == 0 {
		return
	}
	at := l.random.IntN(len(l.gangs))
	g := l.gangs[at]
	l.gangs = append(l.gangs[:at:at], l.gangs[at+1:]...)
	if g.bound && l.random.IntN(2) == 0 {
		l.edit(phase(v1.PodSucceeded), g.pods...)
	}
	if l.random.IntN(2) == 0 {
		l.coschedulingGroup(g.name, nil)
	}
	for _, pod := range g.pods {
		l.forget(pod)
	}
}

// forget deletes a pod and its claim and gives its GPU back.
func (l *life) forget(pod string) {
	l.remove(pod)
	if was := l.claimy[pod]; was != nil {
		delete(l.claimy, pod)
		l.claimChanged(was, nil, l.now)
	}
	for at, holder := range l.taken {
		if holder == pod {
			delete(l.taken, at)
		}
	}
}

const lives = 100

func TestNoLegalLifeIsAccused(t *testing.T) {
	bindings := 0
	for seed := range uint64(lives) {
		l := newLife(seed)
		l.run(60)
		if said := l.verdict(); len(said) > 0 {
			t.Fatalf("seed %d: a legal life was accused: %q", seed, said)
		}
		bindings += l.bindings
	}
	t.Logf("%d lives with %d bindings", lives, bindings)
	if bindings < 10*lives {
		t.Errorf("%d bindings in %d lives show nothing", bindings, lives)
	}
}

// faults are the ways in which a scheduler goes wrong once.
var faults = map[string]func(l *life, g *livingGang, free []spot) string{
	"half a gang": func(l *life, g *livingGang, free []spot) string {
		l.place(g.pods[0], free[0])
		l.pass(2 * patience)
		return "I1: gang PodGroup ml/" + g.name
	},
	"a device in two claims": func(l *life, g *livingGang, free []spot) string {
		for i, pod := range g.pods {
			l.place(pod, free[i])
		}
		l.claim("thief", "", free[1].node, free[1].gpu)
		return fmt.Sprintf("I2: device gpu.example.com/%s/%s", free[1].node, free[1].gpu)
	},
	"a device of another node": func(l *life, g *livingGang, free []spot) string {
		for i, pod := range g.pods[1:] {
			l.place(pod, free[i+1])
		}
		l.claim(g.pods[0], g.pods[0], free[0].node, "gpu-9")
		l.bind(free[0].node, g.pods[0])
		return "I2: pod ml/" + g.pods[0]
	},
	"a node over-committed": func(l *life, g *livingGang, free []spot) string {
		l.edit(func(p *v1.Pod) { p.Spec.Overhead = v1.ResourceList{"cpu": l.nodeBy["n1"].Status.Allocatable["cpu"]} }, g.pods[0])
		for i, pod := range g.pods {
			l.place(pod, free[i])
		}
		return "I2: pod ml/" + g.pods[0]
	},
	"a device kept by a gang that waits": func(l *life, g *livingGang, free []spot) string {
		l.claim(g.pods[0], g.pods[0], free[0].node, free[0].gpu)
		l.pass(2 * patience)
		return "I4: claim ml/" + g.pods[0]
	},
}

func TestEveryFaultIsFound(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			done := 0
			for seed := range uint64(lives) {
				l := newLife(seed)
				l.fault = fault
				l.run(30)
				if l.fault != nil {
					continue // Nothing was scheduled in this life.
				}
				done++
				if said := strings.Join(l.verdict(), "\n"); !strings.Contains(said, l.found) {
					t.Fatalf("seed %d: want %q found, got:\n%s", seed, l.found, said)
				}
			}
			if done < lives/2 {
				t.Errorf("the fault happened in %d of %d lives", done, lives)
			}
		})
	}
}
