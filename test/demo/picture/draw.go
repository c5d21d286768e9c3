// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// free marks a device that nobody holds.
const free = "·"

const (
	// gutter is the space between two nodes.
	gutter = 2
	// labelWidth is the room for a leaf's branch and name.
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
	d.legend(fleet)
	return d.text.String()
}

// drawing is a picture under way.
type drawing struct {
	ink   ink
	width int
	text  strings.Builder
}

// nodeWidth is the widest that a node gets, by its devices or by its name.
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

// row draws one line of a leaf, every node as wide as the widest.
func (d *drawing) row(label string, nodes []Node, draw func(Node) string, remark string) {
	line := "  " + label + strings.Repeat(" ", max(0, labelWidth-visible(label)))
	for _, node := range nodes {
		cell := draw(node)
		line += cell + strings.Repeat(" ", d.width-visible(cell)+gutter)
	}
	d.line(line + remark)
}

// title is a node's name and the gangs that are guests there.
func (k ink) title(node Node, leaf string) string {
	title := k.faint(short(node.Name, leaf))
	if len(node.Guests) == 0 {
		return title
	}
	title += " "
	for _, guest := range node.Guests {
		title += k.letter(guest, string(unicode.ToLower(rune(guest))))
	}
	return title
}

// cells draws devices, one letter each, with a gap between NUMA nodes.
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

// run counts the devices at the beginning that look the same.
func run(devices []Device) int {
	length := 1
	for length < len(devices) && devices[length].Holder == devices[0].Holder && devices[length].NUMA == devices[0].NUMA {
		length++
	}
	return length
}

// columns are the heads of the legend; pairs are NICs whose own GPU has the same pod.
var columns = []string{"pods", "nodes", "leaves", "spines", "gpu", "nic", "pairs"}

// legend says of every gang where it is and what it has, and what is left.
func (d *drawing) legend(fleet Fleet) {
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
		entry(d.ink.letter(gang.Letter, string(gang.Letter)), gang.Name, fleet.standing(gang))
	}
	left := fleet.Share(Free)
	entry(d.ink.faint(free), "free", []string{"", number(left.Nodes), "", "", number(left.GPUs), number(left.NICs)})
}

// standing is the legend of one gang, column by column.
func (f Fleet) standing(gang Gang) []string {
	share := f.Share(gang.Letter)
	cells := []string{fmt.Sprintf("%d/%d", gang.Bound, gang.Members)}
	for _, n := range []int{share.Nodes, share.Leaves, share.Spines, share.GPUs, share.NICs, share.Pairs} {
		cells = append(cells, number(n))
	}
	return cells
}

// number writes a count; nothing is easier seen as a dash.
func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// free counts the nodes of a leaf of which nobody holds a device.
func (l Leaf) free() int {
	return Fleet{Spines: []Spine{{Leaves: []Leaf{l}}}}.Share(Free).Nodes
}

// counted writes a count with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short leaves out what a name repeats of the name above it.
func short(name, above string) string {
	return strings.TrimPrefix(name, above+"-")
}
