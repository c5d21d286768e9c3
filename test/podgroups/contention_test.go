// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"fmt"
	"testing"

	"github.com/dovetail-dev/dovetail/test/localcluster"
)

const (
	// rounds is how often gangs fight, and the scheduler is killed.
	rounds = 3
	share  = nodes * 6 / 10
)

// Two gangs of 60% of the fleet each, their pods created interleaved: one runs
// whole, the other holds nothing and starts when the first is gone.
func TestTwoGangsOfSixtyPercent(t *testing.T) {
	e := newEnv(t)
	for round := range rounds {
		a, b := fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round)
		e.group(a, share)
		e.group(b, share)
		for i := range share {
			e.members(a, i, i+1)
			e.members(b, i, i+1)
		}
		winner, loser := a, b
		e.Eventually("one of the gangs runs whole", func() bool {
			if e.Bound(of(b)) == share {
				winner, loser = b, a
			}
			return e.Bound(of(winner)) == share
		})
		e.refused(loser, share, "gang schedulinggroup "+e.Namespace+"/"+loser+": ")
		e.RemovePods(of(winner))
		e.Whole(of(loser), share)
		e.RemovePods(of(loser))
		e.Gone("")
	}
}

// The scheduler is killed while it binds a gang, of which a second gang would like
// the nodes. When it is back, the first becomes whole and the other gets nothing, also
// if the other is older, and has its cycle first.
func TestKillWhileBinding(t *testing.T) {
	e := newEnv(t)
	interrupted := 0
	for round := range rounds {
		first, second := fmt.Sprintf("gang%d", round), fmt.Sprintf("rival%d", round)
		if round > 0 {
			second = fmt.Sprintf("elder%d", round) // of one age by the second, the name decides
			e.group(second, share)
		}
		e.group(first, nodes)
		killed := e.KillAfter(2+3*round, of(first))
		e.members(first, 0, nodes)
		if round == 0 {
			e.group(second, share)
		}
		interrupted += e.wholeAfterKill(killed, of(first), second)
	}
	if interrupted == 0 {
		t.Errorf("none of %d kills came between two bindings", rounds)
	}
}

// The same for a gang of gangs, of which one may be whole when the scheduler is killed.
func TestKillWhileBindingHierarchy(t *testing.T) {
	e := newEnv(t)
	interrupted := 0
	for round := range rounds {
		all, elder := fmt.Sprintf("gang%d", round), fmt.Sprintf("elder%d", round)
		a, b := all+"-a", all+"-b"
		e.group(elder, share)
		e.composite(all, "", 2)
		e.group(a, nodes/2, below(all))
		e.group(b, nodes/2, below(all))
		killed := e.KillAfter(2+4*round, ofAny(a, b))
		e.members(a, 0, nodes/2)
		e.members(b, 0, nodes/2)
		interrupted += e.wholeAfterKill(killed, ofAny(a, b), elder)
	}
	if interrupted == 0 {
		t.Errorf("none of %d kills came between two bindings", rounds)
	}
}

// wholeAfterKill makes the members of the second gang once the scheduler was killed, and
// wants it to finish the first when it starts again. It returns 1 if that was bound in
// part, 0 if it was whole.
func (e *env) wholeAfterKill(killed <-chan struct{}, first, second string) int {
	e.Helper()
	<-killed
	n := e.Bound(first)
	e.Logf("killed after %d of %d bindings", n, nodes)
	e.members(second, 0, share)
	if err := e.Cluster.Restart(e.Context(), localcluster.Dovetail); err != nil {
		e.Fatalf("starting the scheduler again: %v", err)
	}
	e.Whole(first, nodes)
	e.refused(second, share, "gang schedulinggroup "+e.Namespace+"/"+second+": ")
	e.RemovePods("")
	e.Gone("")
	if n < nodes {
		return 1
	}
	return 0
}
