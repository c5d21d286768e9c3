// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// longestPath is the maximum length of a domain's path (the names from the coarsest domain
// around it to its own) in a sentence. A longer path has generated names, of which the last
// one is unique without the others.
const longestPath = 64

// rdmaRoles is the subject of sentences about all roles (sets of equal members of a gang)
// that use RDMA. One domain which RDMA cannot leave must hold all their members.
const rdmaRoles = "the RDMA roles"

// String names a domain by level and path: "leaf s1/l2", or "leaf .../l2" if the whole path
// is too long. A node is named without the domains around it.
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

// Why returns the decision as one sentence, mostly in this order: the gang, the number of
// members that fit, the domain, the causes that exclude nodes or make them full, and the
// changes that would help.
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
	fmt.Fprintf(b, "%s on %s in %s", Count(len(d.Assignments), "member"), Count(len(nodes), "node"), d.Domain)
	if d.Unplaced > 0 {
		fmt.Fprintf(b, "; %d more beyond the minimum found no room", d.Unplaced)
		if len(d.Reasons) > 0 {
			d.Reasons[0].writeExcluded(b)
			d.Reasons[0].writeFull(b)
		}
	}
}

func (d *Decision) writeRefused(b *strings.Builder) {
	r := d.Reasons[0]
	if r.Kind == BudgetEnded {
		fmt.Fprintf(b, "search budget (%s) exhausted; ", Count(d.Stats.Steps, "step"))
		if len(d.Reasons) > 1 {
			fmt.Fprintf(b, "by resource counts %d of %d could fit; ", d.Reasons[1].Found, d.Reasons[1].Wanted)
		}
		b.WriteString("raise searchBudget")
		return
	}
	r.write(b)
}

func (r *Reason) write(b *strings.Builder) {
	switch r.Kind {
	case BadRequest:
		fmt.Fprintf(b, "bad request: %s: %s", r.Subject, r.Detail)
	case BoundApart:
		r.writeApart(b)
	case NoDomain:
		fmt.Fprintf(b, "none of %s belongs to a %s, which is required", Count(r.Nodes, "node"), r.Domain.Level)
	default:
		r.writeNever(b)
		fmt.Fprintf(b, "%d of %s fit %s", r.Found, Count(r.Wanted, "member"), r.Domain)
		if r.RoleDomain != r.Domain {
			fmt.Fprintf(b, "; role %s is short in %s", r.Role, r.RoleDomain)
		}
		if r.Outside > 0 {
			fmt.Fprintf(b, ", which RDMA does not leave, though %d more fit outside", r.Outside)
		}
		if r.Never == nil {
			r.writeExcluded(b)
			r.writeFull(b)
			r.writeChanges(b)
		}
	}
}

// writeApart writes that bound members contradict a required level, as they are in different
// domains of it, or a single one is on a node that is in no domain of it.
func (r *Reason) writeApart(b *strings.Builder) {
	requires := "requires"
	if r.Subject == rdmaRoles {
		requires = "require"
	}
	if r.Found == 1 {
		fmt.Fprintf(b, "1 member is already bound outside every %s domain; %s %s one", r.Domain.Level, r.Subject, requires)
		return
	}
	fmt.Fprintf(b, "%d members are already bound in different %s domains; %s %s one", r.Found, r.Domain.Level, r.Subject, requires)
}

// LeftOver returns the end of a sentence that explains why members beyond the quorum (the
// gang's minimum) got no node. It returns "" if all of them got a node.
func (d Decision) LeftOver() string {
	var b strings.Builder
	if d.Unplaced > 0 && len(d.Reasons) > 0 {
		d.Reasons[0].writeExcluded(&b)
		d.Reasons[0].writeFull(&b)
	}
	return b.String()
}

// writeExcluded writes how many nodes are excluded, by cause.
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
		fmt.Fprintf(b, "; excluded %s: %s", Count(total, "node"), strings.Join(parts, ", "))
	}
}

// writeFull writes how many nodes hold members of the gang and have no room for one more, by
// cause, with the amount that is missing.
func (r *Reason) writeFull(b *strings.Builder) {
	total := 0
	var parts []string
	for _, e := range r.Full {
		total += e.Nodes
		parts = append(parts, fmt.Sprintf("%s %d%s", e.Cause, e.Nodes, e.shortBy()))
	}
	if total == 0 {
		return
	}
	are, role := "are", ""
	if total == 1 {
		are = "is"
	}
	if r.ManyRoles {
		role = " for role " + r.Role
	}
	fmt.Fprintf(b, "; %s with members %s full%s: %s", Count(total, "node"), are, role, strings.Join(parts, ", "))
}

// shortBy returns the filters' message or the missing amount, in parentheses, or "" if there
// is neither.
func (e *Exclusion) shortBy() string {
	switch {
	case e.Detail != "":
		return " (" + e.Detail + ")"
	case e.Short == 0:
		return ""
	}
	more := ""
	if e.Varies {
		more = " or more"
	}
	return fmt.Sprintf(" (%s%s short)", cmp.Or(e.Amount, strconv.FormatInt(e.Short, 10)), more)
}

// writeNever writes that the role can never fit the nodes that exist.
func (r *Reason) writeNever(b *strings.Builder) {
	n := r.Never
	if n == nil {
		return
	}
	role := ""
	if r.ManyRoles {
		role = " of role " + r.Role
	}
	switch {
	case n.What != "":
		fmt.Fprintf(b, "can never fit: a member%s needs %s %s, and the largest node has %s; ", role,
			cmp.Or(n.NeedAmount, strconv.FormatInt(n.Need, 10)), n.What, cmp.Or(n.MostAmount, strconv.FormatInt(n.Most, 10)))
	case n.Level == NodeLevel:
		fmt.Fprintf(b, "can never fit: an empty node holds at most %d of %s%s; ", n.Room, Count(n.Wanted, "member"), role)
	default:
		fmt.Fprintf(b, "can never fit: the largest %s has %s, which hold %d of %s%s if empty; ",
			n.Level, Count(n.Nodes, "node"), n.Room, Count(n.Wanted, "member"), role)
	}
}

// writeChanges writes the changes that would make the placement possible.
func (r *Reason) writeChanges(b *strings.Builder) {
	var parts []string
	for _, c := range r.Changes {
		if c.Where == r.RoleDomain.String() && r.RoleDomain.Path != "" {
			c.Where = "that " + r.RoleDomain.Level // the sentence has named this domain before
		}
		parts = append(parts, c.String())
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "; would fit with %s", strings.Join(parts, " or "))
	}
}

// String describes a change: "3 more nic on n7".
func (c Change) String() string {
	switch {
	case c.Room > 0:
		return fmt.Sprintf("%s with room for %d in %s", Count(int(c.Count), "more "+c.What), c.Room, c.Where)
	case c.What == NodeLevel && c.Like != "":
		return fmt.Sprintf("%s like %s in %s", Count(int(c.Count), "more "+c.What), c.Like, c.Where)
	case c.What == NodeLevel:
		return fmt.Sprintf("%s in %s", Count(int(c.Count), "more "+c.What), c.Where)
	}
	return fmt.Sprintf("%s more %s on %s", cmp.Or(c.Amount, strconv.FormatInt(c.Count, 10)), c.What, c.Where)
}

// Count returns a number of things as text: "1 node", "3 nodes".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
