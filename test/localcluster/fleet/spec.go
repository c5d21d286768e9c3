// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// MaxNodes limits the nodes of a fleet. It far exceeds the number of nodes that one machine can
// simulate.
const MaxNodes = 100_000

// Spec describes one fleet: a tree of spines, leaves and nodes, all nodes of one hardware shape.
type Spec struct {
	// Name is the prefix of every name of the fleet: node NAME-s1-l2-n3 is in leaf
	// NAME-s1-l2 of spine NAME-s1.
	Name string
	// Shape is the name of a hardware shape, see Shapes.
	Shape string
	// Spines is the number of spines.
	Spines int
	// Leaves is the number of leaves of each spine; a leaf of GB200 or GB300 nodes is a rack.
	Leaves int
	// Nodes is the number of nodes of each leaf.
	Nodes int
	// Zone is the value of topology.kubernetes.io/zone.
	Zone string
	// PlacementGroup is the Azure placement group of all nodes of the fleet; RDMA works
	// only within it. A cluster with several placement groups has several fleets.
	PlacementGroup string
}

// DefaultText is the fleet of the demo: 2 spines of 2 leaves of 4 ND H100 v5 nodes.
const DefaultText = "shape=ndh100v5,spines=2,leaves=2,nodes=4"

// Default is DefaultText, parsed.
func Default() Spec {
	return withDefaults(Spec{Shape: NDH100v5, Spines: 2, Leaves: 2, Nodes: 4})
}

// Parse reads "key=value,..." with the keys shape, spines, leaves (of each spine), nodes
// (of each leaf), name, zone and group (the placement group). Only shape is required; the
// default of every count is 1.
func Parse(text string) (Spec, error) {
	spec := Spec{Spines: 1, Leaves: 1, Nodes: 1}
	fields := spec.fields()
	seen := map[string]bool{}
	for _, pair := range strings.Split(text, ",") {
		key, value, found := strings.Cut(strings.TrimSpace(pair), "=")
		set, known := fields[key]
		switch {
		case !found:
			return Spec{}, fmt.Errorf("fleet %q: %q is not key=value", text, pair)
		case !known:
			return Spec{}, fmt.Errorf("fleet %q: unknown key %q, want one of %s", text, key, strings.Join(specKeys, ", "))
		case seen[key]:
			return Spec{}, fmt.Errorf("fleet %q: key %q is given twice", text, key)
		}
		seen[key] = true
		if err := set(value); err != nil {
			return Spec{}, fmt.Errorf("fleet %q: %s: %w", text, key, err)
		}
	}
	spec = withDefaults(spec)
	if err := spec.Validate(); err != nil {
		return Spec{}, fmt.Errorf("fleet %q: %w", text, err)
	}
	return spec, nil
}

// ParseAll reads several fleets and gives distinct names to those without a name.
func ParseAll(texts []string) ([]Spec, error) {
	var specs []Spec
	for _, text := range texts {
		spec, err := Parse(text)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	specs = Distinct(specs)
	return specs, CheckDistinct(specs)
}

// Distinct returns the fleets with a suffix -2, -3, ... on repeated default names.
func Distinct(specs []Spec) []Spec {
	out := slices.Clone(specs)
	count := map[string]int{}
	for i := range out {
		if out[i].Name != out[i].Shape {
			continue
		}
		count[out[i].Shape]++
		if n := count[out[i].Shape]; n > 1 {
			out[i].rename(fmt.Sprintf("%s-%d", out[i].Shape, n))
		}
	}
	return out
}

// CheckDistinct returns an error when two fleets have the same name: their nodes would be
// the same objects.
func CheckDistinct(specs []Spec) error {
	seen := map[string]bool{}
	for _, spec := range specs {
		if seen[spec.Name] {
			return fmt.Errorf("two fleets are named %q: give one of them another name=", spec.Name)
		}
		seen[spec.Name] = true
	}
	return nil
}

// Validate returns an error that names the first invalid field.
func (s Spec) Validate() error {
	shape, found := shapes[s.Shape]
	if !found {
		return fmt.Errorf("shape %q is unknown, want one of %s", s.Shape, strings.Join(Shapes(), ", "))
	}
	for _, count := range []struct {
		key   string
		value int
	}{{"spines", s.Spines}, {"leaves", s.Leaves}, {"nodes", s.Nodes}} {
		if count.value < 1 || count.value > MaxNodes {
			return fmt.Errorf("%s is %d, want 1 to %d", count.key, count.value, MaxNodes)
		}
	}
	if shape.rack > 0 && s.Nodes > shape.rack {
		return fmt.Errorf("nodes is %d, but a leaf of shape %s is a rack, which holds %d", s.Nodes, s.Shape, shape.rack)
	}
	// Each factor is at most MaxNodes, so the product of two cannot overflow before it is compared.
	if s.Spines*s.Leaves > MaxNodes || s.Spines*s.Leaves*s.Nodes > MaxNodes {
		return fmt.Errorf("spines x leaves x nodes is above %d", MaxNodes)
	}
	return s.validateNames()
}

// String returns the fleet in the format of Parse.
func (s Spec) String() string {
	return fmt.Sprintf("shape=%s,spines=%d,leaves=%d,nodes=%d,name=%s,zone=%s,group=%s",
		s.Shape, s.Spines, s.Leaves, s.Nodes, s.Name, s.Zone, s.PlacementGroup)
}

// Size is the number of nodes in the fleet.
func (s Spec) Size() int { return s.Spines * s.Leaves * s.Nodes }

// specKeys are the keys that Parse reads, in the order in which help texts list them.
var specKeys = []string{"shape", "spines", "leaves", "nodes", "name", "zone", "group"}

func (s *Spec) fields() map[string]func(string) error {
	return map[string]func(string) error{
		"shape":  setText(&s.Shape),
		"spines": setCount(&s.Spines),
		"leaves": setCount(&s.Leaves),
		"nodes":  setCount(&s.Nodes),
		"name":   setText(&s.Name),
		"zone":   setText(&s.Zone),
		"group":  setText(&s.PlacementGroup),
	}
}

func setText(field *string) func(string) error {
	return func(value string) error {
		if value == "" {
			return fmt.Errorf("value is empty")
		}
		*field = value
		return nil
	}
}

func setCount(field *int) func(string) error {
	return func(value string) error {
		count, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is not a number", value)
		}
		*field = count
		return nil
	}
}

func withDefaults(spec Spec) Spec {
	if spec.Name == "" {
		spec.Name = spec.Shape
	}
	if spec.Zone == "" {
		spec.Zone = "zone-1"
	}
	if spec.PlacementGroup == "" {
		spec.PlacementGroup = uuid("placement-group", spec.Name)
	}
	return spec
}

// rename changes the default name of a fleet; a default placement group follows the name.
func (s *Spec) rename(name string) {
	if s.PlacementGroup == uuid("placement-group", s.Name) {
		s.PlacementGroup = uuid("placement-group", name)
	}
	s.Name = name
}

// validateNames checks the longest name of the fleet, the name of a node.
func (s Spec) validateNames() error {
	longest := nodeName(s, Position{Spine: s.Spines, Leaf: s.Leaves, Node: s.Nodes})
	if problems := validation.IsDNS1123Label(longest); len(problems) > 0 {
		return fmt.Errorf("name %q makes node %q: %s", s.Name, longest, problems[0])
	}
	if problems := validation.IsValidLabelValue(s.Zone); len(problems) > 0 {
		return fmt.Errorf("zone %q: %s", s.Zone, problems[0])
	}
	if len(s.PlacementGroup) > maxAttributeLength {
		return fmt.Errorf("group %q is longer than %d bytes", s.PlacementGroup, maxAttributeLength)
	}
	return nil
}
