// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// free is the mark of a device that no pod holds.
const free = "·"

const (
	// gutter is the number of columns between two nodes.
	gutter = 2
	// labelWidth is the number of columns for a leaf's branch and name.
	labelWidth = 9
)

// Draw renders the fleet, with or without colour.
func Draw(fleet Fleet, colour bool) string {
	d := &drawing{ink: ink{colour}, width: fleet.nodeWidth()}
	for i, spine := range fleet.Spines {
		if i > 0 {
			d.line("")
		}
		d.spine(spine)
	}
	d.line("")
	d.table(fleet)
	return d.text.String()
}

// Legend explains the marks of a picture, one line each.
func Legend() []string {
	return []string{
		"ABC  upper case: a GPU or NIC of a worker of gang A, B, C",
		"abc  lower case, behind a node's name: a head of that gang (no devices)",
		free + "    a free device; the gap separates the two NUMA nodes of a node",
		"     a GPU and the NIC below it are a pair: they share a PCIe switch",
		"     table: pods bound/existing, then what the gang's workers use;",
		"     pairs counts the NICs whose own GPU belongs to the same pod",
	}
}

// drawing collects the lines of a picture.
type drawing struct {
	ink   ink
	width int
	text  strings.Builder
}

// nodeWidth returns the width of the widest node, by its devices or its name.
func (f Fleet) nodeWidth() int {
	width := 0
	f.nodes(func(node Node, leaf, _ string) {
		width = max(width, visible(blank.cells(node.GPUs)), visible(blank.cells(node.NICs)), visible(blank.title(node, leaf)))
	})
	return width
}

func (d *drawing) line(text string) {
	d.text.WriteString(strings.TrimRight(text, " ") + "\n")
}

// spine draws three rows for each leaf: names, GPUs, NICs.
func (d *drawing) spine(spine Spine) {
	d.line("  " + d.ink.bold(spine.Name))
	for i, leaf := range spine.Leaves {
		branch, stem := "├─ ", "│  "
		if i == len(spine.Leaves)-1 {
			branch, stem = "└─ ", "   "
		}
		d.row(branch+short(leaf.Name, spine.Name), leaf.Nodes, func(n Node) string { return d.ink.title(n, leaf.Name) },
			d.ink.faint(counted(leaf.free(), "node")+" free"))
		d.row(stem+"gpu", leaf.Nodes, func(n Node) string { return d.ink.cells(n.GPUs) }, "")
		d.row(stem+"nic", leaf.Nodes, func(n Node) string { return d.ink.cells(n.NICs) }, "")
	}
}

// row draws one line of a leaf. Every node is as wide as the widest.
func (d *drawing) row(label string, nodes []Node, draw func(Node) string, remark string) {
	line := "  " + label + strings.Repeat(" ", max(0, labelWidth-visible(label)))
	for _, node := range nodes {
		cell := draw(node)
		line += cell + strings.Repeat(" ", d.width-visible(cell)+gutter)
	}
	d.line(line + remark)
}

// title returns a node's name, followed by a lower-case letter for each pod without
// devices.
func (k ink) title(node Node, leaf string) string {
	title := k.faint(short(node.Name, leaf))
	if len(node.CPUOnly) == 0 {
		return title
	}
	title += " "
	for _, gang := range node.CPUOnly {
		title += k.letter(gang, string(unicode.ToLower(rune(gang))))
	}
	return title
}

// cells returns one letter for each device, with a gap between NUMA nodes.
func (k ink) cells(devices []Device) string {
	row := ""
	for i := 0; i < len(devices); {
		if i > 0 && devices[i].NUMA != devices[i-1].NUMA {
			row += " "
		}
		length := run(devices[i:])
		if holder := devices[i].Holder; holder == Free {
			row += k.faint(strings.Repeat(free, length))
		} else {
			row += k.letter(holder, strings.Repeat(string(holder), length))
		}
		i += length
	}
	return row
}

// run counts the leading devices that have the same holder and NUMA node.
func run(devices []Device) int {
	length := 1
	for length < len(devices) && devices[length].Holder == devices[0].Holder && devices[length].NUMA == devices[0].NUMA {
		length++
	}
	return length
}

// columns are the column titles of the table. The pairs column counts the NICs that have
// the GPU of their pair in the same pod.
var columns = []string{"pods", "nodes", "leaves", "spines", "gpu", "nic", "pairs"}

// table lists each gang with its domains and devices, and then the free devices.
func (d *drawing) table(fleet Fleet) {
	width := len("free")
	for _, gang := range fleet.Gangs {
		width = max(width, len(gang.Name))
	}
	entry := func(mark, name string, cells []string) {
		line := fmt.Sprintf("  %s  %-*s", mark, width, name)
		for i, cell := range cells {
			line += fmt.Sprintf("  %*s", max(len(columns[i]), len("10/10")), cell)
		}
		d.line(line)
	}
	entry(" ", "", columns)
	for _, gang := range fleet.Gangs {
		entry(d.ink.letter(gang.Letter, string(gang.Letter)), gang.Name, fleet.row(gang))
	}
	left := fleet.Share(Free)
	entry(d.ink.faint(free), "free", []string{"", number(left.Nodes), "", "", number(left.GPUs), number(left.NICs)})
}

// row returns the cells of one gang, in the order of columns.
func (f Fleet) row(gang Gang) []string {
	share := f.Share(gang.Letter)
	cells := []string{fmt.Sprintf("%d/%d", gang.Bound, gang.Members)}
	for _, n := range []int{share.Nodes, share.Leaves, share.Spines, share.GPUs, share.NICs, share.Pairs} {
		cells = append(cells, number(n))
	}
	return cells
}

// number formats a count, and 0 as a dash.
func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// free counts the nodes of a leaf that have only free devices.
func (l Leaf) free() int {
	return Fleet{Spines: []Spine{{Leaves: []Leaf{l}}}}.Share(Free).Nodes
}

// counted formats a count with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short removes the name of the parent domain from a name.
func short(name, above string) string {
	return strings.TrimPrefix(name, above+"-")
}
