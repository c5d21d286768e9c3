// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// longestPath is how much of a path a sentence can take. Names that people gave are
// short; where a machine gave them, each is unique without its parents.
const longestPath = 64

// String names a domain as sentences do: "leaf s1/l2", or "leaf .../l2" where the
// whole path is too long to read. A node has a name of its own.
func (d Domain) String() string {
	if d.Path == "" {
		return "the " + d.Level
	}
	if d.Level == NodeLevel {
		return d.Level + " " + d.Path[strings.LastIndexByte(d.Path, '/')+1:]
	}
	if last := strings.LastIndexByte(d.Path, '/'); last >= 0 && len(d.Path) > longestPath {
		return d.Level + " ..." + d.Path[last:]
	}
	return d.Level + " " + d.Path
}

// Why is the decision in one sentence: who, how much of it, where, and what the
// rest was lost to, always in that order.
func (d Decision) Why() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gang %s: ", d.Gang)
	switch {
	case d.Placed:
		d.writePlaced(&b)
	case len(d.Reasons) == 0:
		b.WriteString("no reason is known")
	default:
		d.writeRefused(&b)
	}
	return b.String()
}

func (d *Decision) writePlaced(b *strings.Builder) {
	nodes := map[string]bool{}
	for _, a := range d.Assignments {
		nodes[a.Node] = true
	}
	fmt.Fprintf(b, "%s on %s in %s", count(len(d.Assignments), "member"), count(len(nodes), "node"), d.Domain)
	if d.Unplaced > 0 {
		fmt.Fprintf(b, "; %d more beyond the minimum found no room", d.Unplaced)
		if len(d.Reasons) > 0 {
			d.Reasons[0].writeExcluded(b)
		}
	}
}

func (d *Decision) writeRefused(b *strings.Builder) {
	r := d.Reasons[0]
	if r.Kind == BudgetEnded {
		fmt.Fprintf(b, "no placement found in %d steps, which does not prove that there is none; ", d.Stats.Steps)
		if len(d.Reasons) < 2 {
			b.WriteString("nothing more is known")
			return
		}
		r = d.Reasons[1]
		fmt.Fprintf(b, "counts alone let %d of %s into %s", r.Found, count(r.Wanted, "member"), r.Domain)
		return
	}
	r.write(b)
}

func (r *Reason) write(b *strings.Builder) {
	switch r.Kind {
	case BadRequest:
		fmt.Fprintf(b, "bad request: %s: %s", r.Subject, r.Detail)
	case BoundApart:
		fmt.Fprintf(b, "%s of %s must stand in one %s and do not", count(r.Found, "bound member"), r.Subject, r.Domain.Level)
	case NoDomain:
		fmt.Fprintf(b, "none of %s belongs to a %s, which is required", count(r.Nodes, "node"), r.Domain.Level)
	default:
		fmt.Fprintf(b, "%d of %s fit %s", r.Found, count(r.Wanted, "member"), r.Domain)
		if r.RoleDomain != r.Domain {
			fmt.Fprintf(b, "; role %s is short in %s", r.Role, r.RoleDomain)
		}
		if r.Outside > 0 {
			fmt.Fprintf(b, ", which RDMA does not leave, though %d more fit outside", r.Outside)
		}
		r.writeExcluded(b)
		r.writeChanges(b)
	}
}

// LeftOver is what members beyond the quorum that got no node are lost to: the end
// of a sentence, or nothing.
func (d Decision) LeftOver() string {
	var b strings.Builder
	if d.Unplaced > 0 && len(d.Reasons) > 0 {
		d.Reasons[0].writeExcluded(&b)
	}
	return b.String()
}

// writeExcluded says how many nodes are out, and for what.
func (r *Reason) writeExcluded(b *strings.Builder) {
	total := 0
	var parts []string
	for _, e := range r.Excluded {
		total += e.Nodes
		part := fmt.Sprintf("%s %d", e.Cause, e.Nodes)
		if e.Detail != "" {
			part += " (" + e.Detail + ")"
		}
		parts = append(parts, part)
	}
	if total > 0 {
		fmt.Fprintf(b, "; excluded %s: %s", count(total, "node"), strings.Join(parts, ", "))
	}
}

// writeChanges says what would change the answer.
func (r *Reason) writeChanges(b *strings.Builder) {
	var parts []string
	for _, c := range r.Changes {
		parts = append(parts, c.String())
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "; would fit with %s", strings.Join(parts, " or "))
	}
}

// String names a change as sentences do: "3 more nic on n7".
func (c Change) String() string {
	switch {
	case c.Room > 0:
		return fmt.Sprintf("%s with room for %d in %s", count(int(c.Count), "more "+c.What), c.Room, c.Where)
	case c.What == NodeLevel:
		return fmt.Sprintf("%s in %s", count(int(c.Count), "more "+c.What), c.Where)
	}
	return fmt.Sprintf("%s more %s on %s", cmp.Or(c.Amount, strconv.FormatInt(c.Count, 10)), c.What, c.Where)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
