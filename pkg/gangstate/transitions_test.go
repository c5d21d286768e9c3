// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A gang changes phase only by the transitions in the package comment. Random histories
// take each of them.
func TestTransitions(t *testing.T) {
	seen := map[[2]Phase]int{}
	for seed := range uint64(800) {
		s := newSimulation(t, seed)
		s.ordered = false // an order changes no transition, and makes some rare
		s.tracker.options.HealAfter, s.tracker.options.MaxBypass = 3*time.Second, 5*time.Second
		s.tracker.onTransition = func(_ gangs.Key, from, to Phase) { seen[[2]Phase{from, to}]++ }
		s.groups.declare("a", int32(1+s.rnd.IntN(5)))
		s.groups.declare("b", int32(1+s.rnd.IntN(5)))
		s.room = 3 + s.rnd.IntN(6)
		for range 300 {
			s.step()
		}
		s.nothingIsKept()
	}
	var taken []string
	for from := Incomplete; from <= Placed; from++ {
		for to := Incomplete; to <= Placed; to++ {
			if n := seen[[2]Phase{from, to}]; n > 0 {
				taken = append(taken, from.String()+" -> "+to.String())
				t.Logf("%s -> %s: %d times", from, to, n)
			}
		}
	}
	if diff := cmp.Diff(documented(t), taken); diff != "" {
		t.Errorf("transitions of doc.go and of the simulation (-documented,+taken):\n%s", diff)
	}
}

// documented returns the transitions in the package comment, in the order of phases.
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var all [][2]int
	for line := range strings.Lines(string(text)) {
		from, rest, ok := strings.Cut(strings.TrimPrefix(line, "//\t"), " -> ")
		if !ok {
			continue
		}
		to, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		all = append(all, [2]int{slices.Index(phaseNames[:], strings.TrimSpace(from)), slices.Index(phaseNames[:], to)})
	}
	slices.SortFunc(all, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	var lines []string
	for _, pair := range all {
		if pair[0] < 0 || pair[1] < 0 {
			t.Fatalf("doc.go lists a transition between unknown phases")
		}
		lines = append(lines, fmt.Sprintf("%s -> %s", phaseNames[pair[0]], phaseNames[pair[1]]))
	}
	return lines
}
