// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// demoFleet is 2 spines of 2 leaves of 4 nodes with 8 GPUs and 8 NICs each.
func demoFleet() Fleet {
	var fleet Fleet
	for s := 1; s <= 2; s++ {
		spine := Spine{Name: fmt.Sprintf("ndh100v5-s%d", s)}
		for l := 1; l <= 2; l++ {
			leaf := Leaf{Name: fmt.Sprintf("%s-l%d", spine.Name, l)}
			for n := 1; n <= 4; n++ {
				leaf.Nodes = append(leaf.Nodes, Node{Name: fmt.Sprintf("%s-n%d", leaf.Name, n), GPUs: devices(8), NICs: devices(8)})
			}
			spine.Leaves = append(spine.Leaves, leaf)
		}
		fleet.Spines = append(fleet.Spines, spine)
	}
	return fleet
}

func devices(n int) []Device {
	all := make([]Device, n)
	for i := range all {
		all[i].NUMA = int64(i * 2 / n)
	}
	return all
}

// give allocates all devices of nodes to a gang.
func (f Fleet) give(to Letter, spine, leaf int, nodes ...int) {
	for _, n := range nodes {
		node := &f.Spines[spine-1].Leaves[leaf-1].Nodes[n-1]
		for i := range node.GPUs {
			node.GPUs[i].Holder, node.GPUs[i].Pod = to, node.Name
			node.NICs[i].Holder, node.NICs[i].Pod = to, node.Name
		}
	}
}

// pictures are the fleets, each with a golden file.
var pictures = map[string]func() Fleet{
	"empty": demoFleet,
	"three_gangs": func() Fleet {
		f := demoFleet()
		f.give('A', 1, 1, 1, 2, 3, 4)
		f.give('B', 2, 1, 1, 2, 3, 4)
		f.give('B', 2, 2, 1, 2)
		f.Spines[0].Leaves[0].Nodes[0].CPUOnly = []Letter{'A'}
		f.Spines[1].Leaves[0].Nodes[0].CPUOnly = []Letter{'B'}
		f.Gangs = []Gang{
			{Letter: 'A', Name: "RayJob pretrain", Bound: 5, Members: 5},
			{Letter: 'B', Name: "RayCluster tune", Bound: 7, Members: 7},
			{Letter: 'C', Name: "PodGroup serve", Members: 8},
		}
		return f
	},
	"broken_pairs": func() Fleet {
		f := demoFleet()
		f.Spines = f.Spines[:1]
		node := &f.Spines[0].Leaves[0].Nodes[1]
		for i := range 4 {
			node.GPUs[i] = Device{Holder: 'A', Pod: "first"}
			node.NICs[i+2] = Device{Holder: 'A', Pod: "first", NUMA: node.NICs[i+2].NUMA}
		}
		node.NICs[0] = Device{Holder: 'A', Pod: "another"}
		node.CPUOnly = []Letter{'B', 'B'}
		f.Gangs = []Gang{{Letter: 'A', Name: "PodGroup a", Bound: 2, Members: 2}, {Letter: 'B', Name: "PodGroup b", Bound: 2, Members: 2}}
		return f
	},
}

func TestDraw(t *testing.T) {
	for name, fleet := range pictures {
		t.Run(name, func(t *testing.T) {
			compare(t, name+".txt", Draw(fleet(), false))
		})
	}
}

func TestColourChangesNoWidth(t *testing.T) {
	for name, fleet := range pictures {
		plain, coloured := Draw(fleet(), false), Draw(fleet(), true)
		if diff := cmp.Diff(plain, escapes.ReplaceAllString(coloured, "")); diff != "" {
			t.Errorf("%s without its colours (-want,+got):\n%s", name, diff)
		}
		if plain == coloured || strings.Contains(plain, "\x1b") {
			t.Errorf("%s: colour must be there when asked for, and only then", name)
		}
	}
}

func TestDrawFitsATerminal(t *testing.T) {
	lines := strings.Split(Draw(pictures["three_gangs"](), false), "\n")
	if len(lines) > 24 {
		t.Errorf("the picture has %d lines, a terminal has 24", len(lines))
	}
	for _, line := range lines {
		if visible(line) > 80 {
			t.Errorf("%d columns: %s", visible(line), line)
		}
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatalf("rewriting the golden file: %v", err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading the golden file: %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want,+got):\n%s", file, diff)
	}
}
