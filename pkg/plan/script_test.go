// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// TestScripts runs the golden scripts. testdata/README.md documents their language.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := runScript(string(want))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want,+got)\n%s", diff)
			}
		})
	}
}

// runScript runs each block of commands and writes its output below it.
func runScript(text string) (string, error) {
	s := &script{sim: &simulation{}, gangs: map[string]*plan.Gang{}}
	var out strings.Builder
	answer := false
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case line == "----":
			answer = true
			out.WriteString("----\n")
			out.WriteString(s.out.String())
			s.out.Reset()
		case answer && line != "":
		default:
			answer = false
			out.WriteString(line + "\n")
			if err := s.command(line); err != nil {
				return "", fmt.Errorf("line %d: %q: %w", i+1, line, err)
			}
		}
	}
	return out.String(), nil
}

// script is the state of a running script.
type script struct {
	sim   *simulation
	st    *plan.State
	gangs map[string]*plan.Gang
	gang  *plan.Gang
	// path is the domain of the previous line, by indentation.
	path []string
	// refuse is the number of members that the filters accept, by role and node. Other
	// nodes have no limit.
	refuse map[string]map[string]int
	budget int
	// first has each node as it was first listed. empty reports that the planner knows these
	// amounts.
	first map[string]plan.NodeSpec
	empty bool
	last  plan.Decision
	// occupants are those that the command clear may let leave.
	occupants []plan.Occupant
	out       strings.Builder
}

// command runs one line.
func (s *script) command(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil
	}
	switch words[0] {
	case "levels":
		return s.levels(words[1:])
	case "gang", "role", "group", "partition", "apart", "spread", "near", "pool", "takes", "limit", "counts", "conflict":
		return s.request(words)
	case "refuse":
		return s.newRefusal(words[1:])
	case "budget":
		_, err := fmt.Sscan(words[1], &s.budget)
		return err
	case "empty":
		s.empty = true
		return nil
	case "plan":
		return s.plan()
	case "bind":
		return s.bind()
	case "set":
		return s.addNodes(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "set")), nil)
	case "score":
		return s.score(words[1:])
	case "occupant":
		return s.newOccupant(line)
	case "clear":
		return s.clear()
	}
	return s.fabric(line)
}

// request adds to the gang that is planned next.
func (s *script) request(words []string) error {
	switch words[0] {
	case "gang":
		return s.newGang(words[1:])
	case "role":
		return s.newRole(words[1:])
	case "group":
		return s.newGroup(words[1:])
	case "partition", "apart", "spread", "near":
		return s.newRule(words[0], words[1:])
	}
	return s.supply(words)
}

func (s *script) levels(names []string) error {
	l := plan.Layout{Resources: []string{"cpu", "pods"}, Kinds: []string{"gpu", "nic", "oldgpu"}}
	for _, n := range names {
		l.Levels = append(l.Levels, plan.Level{Name: strings.TrimSuffix(n, "!"), Boundary: strings.HasSuffix(n, "!")})
	}
	s.sim.layout = l
	s.sim.nodes, s.first, s.occupants = nil, map[string]plan.NodeSpec{}, nil
	var err error
	s.st, err = plan.NewState(l)
	return err
}

// fabric parses " name:" as a domain; the indentation is its depth. Nodes follow the colon
// of a finest domain. A dash is a missing level.
func (s *script) fabric(line string) error {
	depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
	name, nodes, ok := strings.Cut(strings.TrimSpace(line), ":")
	if !ok {
		return fmt.Errorf("unknown command")
	}
	if name == "-" {
		name = ""
	}
	if depth > len(s.path) || len(s.sim.layout.Levels) > 0 && depth >= len(s.sim.layout.Levels) {
		return fmt.Errorf("too deep")
	}
	s.path = append(s.path[:depth:depth], name)
	if len(s.sim.layout.Levels) == 0 {
		s.path = nil
	}
	return s.addNodes(nodes, s.path)
}

// addNodes parses nodes like "n1(gpu=8 nic=8) n2..n4(cpu=4)".
func (s *script) addNodes(text string, path []string) error {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		open, end := strings.Index(text, "("), strings.Index(text, ")")
		if open < 0 || end < open {
			return fmt.Errorf("a node looks like n1(gpu=8)")
		}
		for _, name := range expand(text[:open]) {
			if err := s.addNode(name, text[open+1:end], path); err != nil {
				return err
			}
		}
		text = text[end+1:]
	}
	return nil
}

// expand expands n2..n4 to n2, n3, n4.
func expand(name string) []string {
	from, to, ok := strings.Cut(name, "..")
	if !ok {
		return []string{name}
	}
	stem := strings.TrimRight(from, "0123456789")
	var a, b int
	fmt.Sscan(from[len(stem):], &a)
	fmt.Sscan(to[len(stem):], &b)
	var out []string
	for i := a; i <= b; i++ {
		out = append(out, fmt.Sprint(stem, i))
	}
	return out
}

func (s *script) addNode(name, text string, path []string) error {
	n := plan.NodeSpec{Name: name, Domains: slices.Clone(path), Free: []int64{1000, 110}}
	i := slices.IndexFunc(s.sim.nodes, func(o plan.NodeSpec) bool { return o.Name == name })
	if i >= 0 {
		n.Domains = s.sim.nodes[i].Domains
	}
	for _, word := range strings.Fields(text) {
		if err := s.nodeWord(&n, word); err != nil {
			return err
		}
	}
	if i >= 0 {
		s.sim.nodes[i] = n
	} else {
		s.sim.nodes = append(s.sim.nodes, n)
		s.first[name] = n
	}
	return s.st.Upsert(n)
}

// nodeWord parses one property: cpu=4, pods=10, gpu=8 (one in each unit),
// units=gpu+nic,gpu+nic,nic (unit by unit), down.
func (s *script) nodeWord(n *plan.NodeSpec, word string) error {
	key, value, _ := strings.Cut(word, "=")
	if key == "down" {
		n.Unschedulable = true
		return nil
	}
	if key == "units" {
		for _, u := range strings.Split(value, ",") {
			n.Units = append(n.Units, plan.Unit{Free: s.unit(u)})
		}
		return nil
	}
	var count int
	if _, err := fmt.Sscan(value, &count); err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	if i := slices.Index(s.sim.layout.Resources, key); i >= 0 {
		n.Free[i] = int64(count)
		return nil
	}
	k := slices.Index(s.sim.layout.Kinds, key)
	if k < 0 {
		return fmt.Errorf("%s is neither a resource nor a kind", key)
	}
	for i := range count {
		if i == len(n.Units) {
			n.Units = append(n.Units, plan.Unit{Free: make([]int, len(s.sim.layout.Kinds))})
		}
		n.Units[i].Free[k]++
	}
	return nil
}

// unit parses one unit like gpu+gpu+nic. "none" is an empty unit.
func (s *script) unit(text string) []int {
	free := make([]int, len(s.sim.layout.Kinds))
	for _, d := range strings.Split(text, "+") {
		if k := slices.Index(s.sim.layout.Kinds, d); k >= 0 {
			free[k]++
		}
	}
	return free
}
