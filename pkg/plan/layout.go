// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"slices"
)

// NodeLevel is the name of the implicit finest level: the node itself.
const NodeLevel = "node"

// Level is one level of the fabric (the topology tree): a kind of domain, such as a rack.
type Level struct {
	// Name is the level's name in requests, for example "leaf".
	Name string
	// Boundary is true if RDMA cannot cross domains of this level.
	Boundary bool
}

// Layout names levels, resources and device kinds. NodeSpec, Unit and Need refer to these
// by index.
type Layout struct {
	// Levels are ordered from coarse to fine. The node is not listed.
	Levels []Level
	// Resources name the entries of NodeSpec.Free and Need.Resources.
	Resources []string
	// Kinds name the device kinds counted in Unit.Free.
	Kinds []string
}

// Unit is one alignment unit of a node: devices that share a PCIe root, a NUMA node or a
// vendor's pair. Unit i of every node is rail i.
type Unit struct {
	// Free counts free devices by kind.
	Free []int
}

// NodeSpec is the planner's input for one node.
type NodeSpec struct {
	Name string
	// Domains has one name for each level, coarse to fine. "" means that the node
	// lacks the level.
	Domains []string
	// Free is the amount available to new members, by resource index. The caller subtracts
	// members already bound or reserved on the node.
	Free []int64
	// Units are the node's alignment units. A unit's index is its rail.
	Units []Unit
	// Unschedulable excludes the node from every plan.
	Unschedulable bool
}

// level returns the index of a level by name. len(Levels) is the node level. The second
// result is false for an unknown name.
func (l *Layout) level(name string) (int, bool) {
	if name == NodeLevel {
		return len(l.Levels), true
	}
	i := slices.IndexFunc(l.Levels, func(v Level) bool { return v.Name == name })
	return i, i >= 0
}

// levelName returns the name of the i-th level. Index -1 is the whole fabric, len(Levels)
// the node level.
func (l *Layout) levelName(i int) string {
	switch {
	case i < 0:
		return "fabric"
	case i >= len(l.Levels):
		return NodeLevel
	}
	return l.Levels[i].Name
}

func (l *Layout) validate() error {
	seen := map[string]bool{NodeLevel: true}
	for i, v := range l.Levels {
		if v.Name == "" {
			return fmt.Errorf("levels[%d]: name is empty", i)
		}
		if seen[v.Name] {
			return fmt.Errorf("levels[%d]: name %q is taken", i, v.Name)
		}
		seen[v.Name] = true
	}
	return nil
}

// grows returns an error unless next has the levels of l and only appends resources and
// kinds.
func (l *Layout) grows(next Layout) error {
	if !slices.Equal(l.Levels, next.Levels) {
		return errors.New("levels differ: a State cannot change its levels")
	}
	if err := isPrefix("resources", l.Resources, next.Resources); err != nil {
		return err
	}
	return isPrefix("kinds", l.Kinds, next.Kinds)
}

func isPrefix(field string, old, next []string) error {
	if len(next) < len(old) || !slices.Equal(old, next[:len(old)]) {
		return fmt.Errorf("%s: %v does not start with %v", field, next, old)
	}
	return nil
}

func (l Layout) clone() Layout {
	return Layout{
		Levels:    slices.Clone(l.Levels),
		Resources: slices.Clone(l.Resources),
		Kinds:     slices.Clone(l.Kinds),
	}
}

// withoutTail drops trailing zeros. They mean the same as missing entries.
func withoutTail(v []int64) []int64 {
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	return v
}
