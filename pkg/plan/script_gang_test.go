// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// options maps keys to fields. It parses "key=value" words into these fields.
type options map[string]any

func (o options) read(words []string) error {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch p := o[key].(type) {
		case *string:
			*p = value
		case *bool:
			*p = true
		case *int:
			if _, err := fmt.Sscan(value, p); err != nil {
				return fmt.Errorf("%s: %w", w, err)
			}
		case func(string) error:
			if err := p(value); err != nil {
				return fmt.Errorf("%s: %w", w, err)
			}
		default:
			return fmt.Errorf("unknown option %s", key)
		}
	}
	return nil
}

func (s *script) newGang(words []string) error {
	g := &plan.Gang{Name: words[0]}
	s.gang, s.refuse = g, map[string]map[string]int{}
	return options{
		"min": &g.Min, "minGroups": &g.MinGroups, "required": &g.Required, "preferred": &g.Preferred, "rdma": &g.RDMA,
	}.read(words[1:])
}

func (s *script) newGroup(words []string) error {
	g := plan.Group{Name: words[0]}
	err := options{
		"parent": &g.Parent, "min": &g.Min, "minGroups": &g.MinGroups, "required": &g.Required, "preferred": &g.Preferred,
	}.read(words[1:])
	s.gang.Groups = append(s.gang.Groups, g)
	return err
}

// newRole parses "role NAME COUNT options". An existing role gets COUNT more members.
func (s *script) newRole(words []string) error {
	var count int
	if _, err := fmt.Sscan(words[1], &count); err != nil {
		return err
	}
	i := slices.IndexFunc(s.gang.Roles, func(r plan.Role) bool { return r.Name == words[0] })
	if i < 0 {
		i = len(s.gang.Roles)
		s.gang.Roles = append(s.gang.Roles, plan.Role{Name: words[0], Need: plan.Need{Resources: []int64{0, 1}}})
	}
	r := &s.gang.Roles[i]
	for range count {
		r.Members = append(r.Members, plan.Member{Name: fmt.Sprintf("%s-%d", r.Name, len(r.Members)), Rank: len(r.Members)})
	}
	return s.roleOptions(r).read(words[2:])
}

func (s *script) roleOptions(r *plan.Role) options {
	o := options{
		"min": &r.Min, "group": &r.Group, "required": &r.Required, "preferred": &r.Preferred, "rdma": &r.RDMA,
		"aligned": &r.Need.Aligned, "slice": &r.Slice.Size, "sliceRequired": &r.Slice.Required,
		"slicePreferred": &r.Slice.Preferred, "spread": &r.Slice.Spread,
		"bound": func(v string) error {
			for k, node := range strings.Split(v, ",") {
				r.Members[k].Node = node
			}
			return nil
		},
		"limit": func(v string) error {
			node, most, _ := strings.Cut(v, ":")
			n := 0
			r.Limit = map[string]int{}
			_, err := fmt.Sscan(most, &n)
			r.Limit[node] = n
			return err
		},
		"perNode": &r.Need.PerNode,
		"or":      func(v string) error { r.Alternatives = strings.Split(v, ","); return nil },
		"nodes":   func(v string) error { r.Nodes, r.NodesFixed = expand(v), true; return nil },
		"cpu":     func(v string) error { _, err := fmt.Sscan(v, &r.Need.Resources[0]); return err },
	}
	for k, kind := range s.sim.layout.Kinds {
		o[kind] = s.deviceOption(r, []int{k})
	}
	o["gpu|oldgpu"] = s.deviceOption(r, []int{0, 2})
	return o
}

func (s *script) deviceOption(r *plan.Role, kinds []int) func(string) error {
	return func(v string) error {
		d := plan.DeviceNeed{Kinds: kinds}
		_, err := fmt.Sscan(v, &d.Count)
		r.Need.Devices = append(r.Need.Devices, d)
		return err
	}
}

// newRefusal parses "refuse ROLE NODE MOST": the filters accept only MOST members there.
func (s *script) newRefusal(words []string) error {
	most := 0
	if len(words) > 2 {
		if _, err := fmt.Sscan(words[2], &most); err != nil {
			return err
		}
	}
	if s.refuse[words[0]] == nil {
		s.refuse[words[0]] = map[string]int{}
	}
	for _, n := range expand(words[1]) {
		s.refuse[words[0]][n] = most
	}
	return nil
}

func (s *script) plan() error {
	fits := func(role int, node string, already int) bool {
		most, ok := s.refuse[s.gang.Roles[role].Name][node]
		return !ok || already < most
	}
	s.last = plan.Plan(s.st.Freeze(), *s.gang, fits, plan.Options{Budget: s.budget, Capacity: s.capacity()})
	s.show(&s.last)
	return nil
}

// capacity returns what the nodes had when they were first listed, if the script asks for
// it with "empty".
func (s *script) capacity() func(string, *plan.Capacity) bool {
	if !s.empty {
		return nil
	}
	return func(node string, into *plan.Capacity) bool {
		spec, ok := s.first[node]
		into.Resources = append(into.Resources, spec.Free...)
		for _, unit := range spec.Units {
			into.Kinds = append(into.Kinds, make([]int64, max(0, len(unit.Free)-len(into.Kinds)))...)
			for k, n := range unit.Free {
				into.Kinds[k] += int64(n)
			}
		}
		return ok
	}
}

// show prints a decision: the sentence, the members of each node, the cost, and the other
// candidates of a negative decision.
func (s *script) show(d *plan.Decision) {
	fmt.Fprintln(&s.out, d.Why())
	for _, n := range s.sim.nodes {
		var names []string
		for _, a := range d.Assignments {
			if a.Node == n.Name {
				names = append(names, s.member(a))
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(&s.out, "  %s: %s\n", strings.Join(append(slices.Clone(n.Domains), n.Name), "/"), strings.Join(names, " "))
		}
	}
	var cost []string
	for _, t := range d.Cost {
		if t.Value != 0 {
			cost = append(cost, fmt.Sprintf("%s %d", t.Name, t.Value))
		}
	}
	if len(cost) > 0 {
		fmt.Fprintf(&s.out, "  cost: %s\n", strings.Join(cost, ", "))
	}
	if d.Stats.FitsRefused > 0 {
		fmt.Fprintf(&s.out, "  filters asked %d times, refused %d\n", d.Stats.FitsCalls, d.Stats.FitsRefused)
	}
	for i, r := range d.Reasons {
		if i > 0 && r.Kind == plan.NoRoom && d.Reasons[i-1].Kind != plan.BudgetEnded {
			fmt.Fprintf(&s.out, "  also %s: %d of %d\n", r.Domain, r.Found, r.Wanted)
		}
	}
}

// member draws an assignment: the member, its unit, its place in the order, and the
// alternative whose need it has.
func (s *script) member(a plan.Assignment) string {
	out := a.Member
	if a.Rail >= 0 {
		out += fmt.Sprintf("@%d", a.Rail)
	}
	if a.Order > 0 {
		out += fmt.Sprintf("#%d", a.Order)
	}
	if s.roleOf(a.Member).Name != a.Role {
		out += "=" + a.Role
	}
	return out
}

// roleOf returns the role of a member.
func (s *script) roleOf(member string) *plan.Role {
	for i := range s.gang.Roles {
		if slices.ContainsFunc(s.gang.Roles[i].Members, func(m plan.Member) bool { return m.Name == member }) {
			return &s.gang.Roles[i]
		}
	}
	return &plan.Role{}
}

// bind binds the last plan. Members get their nodes. Nodes lose the members' resources,
// from the planned rail or else unit by unit.
func (s *script) bind() error {
	for _, a := range s.last.Assignments {
		i := slices.IndexFunc(s.gang.Roles, func(r plan.Role) bool { return r.Name == a.Role })
		r, of := &s.gang.Roles[i], s.roleOf(a.Member)
		m := slices.IndexFunc(of.Members, func(m plan.Member) bool { return m.Name == a.Member })
		of.Members[m].Node = a.Node
		n := slices.IndexFunc(s.sim.nodes, func(n plan.NodeSpec) bool { return n.Name == a.Node })
		node := s.sim.nodes[n]
		node.Free = slices.Clone(node.Free)
		for k, v := range r.Need.Resources {
			node.Free[k] -= v
		}
		node.Units = taken(node.Units, r.Need.Devices, a.Rail)
		s.sim.nodes[n] = node
		if err := s.st.Upsert(node); err != nil {
			return err
		}
	}
	return nil
}

func taken(units []plan.Unit, devices []plan.DeviceNeed, rail int) []plan.Unit {
	out := make([]plan.Unit, len(units))
	for i := range units {
		out[i].Free = slices.Clone(units[i].Free)
	}
	for _, d := range devices {
		left := d.Count
		for i := range out {
			if rail >= 0 && i != rail {
				continue
			}
			for _, k := range d.Kinds {
				n := min(left, out[i].Free[k])
				out[i].Free[k] -= n
				left -= n
			}
		}
	}
	return out
}

// score prints every node's score for a member of a role, best first.
func (s *script) score(words []string) error {
	i := slices.IndexFunc(s.gang.Roles, func(r plan.Role) bool { return r.Name == words[0] })
	if i < 0 {
		return fmt.Errorf("no role %s", words[0])
	}
	snap := s.st.Freeze()
	nodes := slices.Clone(s.sim.nodes)
	of := func(n plan.NodeSpec) int64 { return plan.Score(snap, s.gang.Roles[i].Need, n.Name) }
	slices.SortStableFunc(nodes, func(a, b plan.NodeSpec) int { return int(of(b) - of(a)) })
	for _, n := range nodes {
		fmt.Fprintf(&s.out, "%s %d\n", n.Name, of(n))
	}
	return nil
}
