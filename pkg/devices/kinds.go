// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"cmp"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// Kind is a set of devices that are interchangeable for every request in use. Devices in
// a View are counted by kind.
type Kind struct {
	// Name identifies the kind. Kinds with equal names in two views contain the same
	// devices.
	Name string
	// Label is a short name of the kind for sentences. Several kinds may share it.
	Label string
	GPU   bool
	RDMA  bool
	// Plugin is the extended resource if device plugins, and not DRA drivers, offer the
	// devices, otherwise "".
	Plugin v1.ResourceName
}

// kindTable numbers the kinds of a layout (a division of devices into kinds). of has the
// numbers by signature (the queries, which are demands on a device, that devices of the kind
// satisfy), plugin by extended resource of device plugins.
type kindTable struct {
	queries    *queryTable
	kinds      []Kind
	of         map[signature]int
	signatures []signature
	plugin     map[v1.ResourceName]int
}

// newKindTable numbers the kinds: one for each signature (the queries that a device
// satisfies) of the present devices, and one for each extended resource of device
// plugins. Kinds are sorted by name, so their order does not depend on the order in which
// devices appeared.
func newKindTable(queries *queryTable, plugins []v1.ResourceName, present []signature) kindTable {
	table := kindTable{queries: queries, signatures: present, of: map[signature]int{}, plugin: map[v1.ResourceName]int{}}
	names := map[string]signature{}
	for _, s := range present {
		kind := Kind{Name: queries.kindName(s), Label: queries.kindLabel(s), GPU: s.gpu(), RDMA: s.rdma()}
		names[kind.Name] = s
		table.kinds = append(table.kinds, kind)
	}
	for _, name := range plugins {
		table.kinds = append(table.kinds, Kind{Name: "plugin " + string(name), Label: string(name), Plugin: name, GPU: isGPUResource(name)})
	}
	slices.SortFunc(table.kinds, func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
	for i, kind := range table.kinds {
		if kind.Plugin != "" {
			table.plugin[kind.Plugin] = i
			continue
		}
		table.of[names[kind.Name]] = i
	}
	return table
}

// kindName names a signature (the queries that a device satisfies) by these queries and
// not by their positions. The name has the same meaning in every table.
func (t *queryTable) kindName(s signature) string {
	var parts []string
	for i, q := range t.queries {
		if s.has(i) {
			parts = append(parts, q.label())
		}
	}
	slices.Sort(parts)
	if s.gpu() {
		parts = append(parts, "GPU")
	}
	if s.rdma() {
		parts = append(parts, "RDMA NIC")
	}
	return strings.Join(parts, " ")
}

func (t *queryTable) kindLabel(s signature) string {
	switch {
	case s.gpu():
		return "GPU"
	case s.rdma():
		return "RDMA NIC"
	}
	for i, q := range t.queries {
		if s.has(i) {
			return q.class
		}
	}
	return ""
}

// isGPUResource returns true for the names under which device plugins offer GPUs.
func isGPUResource(name v1.ResourceName) bool {
	return name == "nvidia.com/gpu" || name == "amd.com/gpu" || strings.HasPrefix(string(name), "nvidia.com/mig-")
}

// kindsOf returns the numbers of the kinds whose devices satisfy one of the queries.
func (t *kindTable) kindsOf(queries []*deviceQuery) []int {
	var kinds []int
	for s, kind := range t.of {
		if slices.ContainsFunc(queries, func(q *deviceQuery) bool { return s.has(t.queries.column[q.key]) }) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}
