// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"cmp"
	"hash/fnv"
	"iter"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// Kind is one column of the counts in a View. Devices of one kind are interchangeable for every request in use.
type Kind struct {
	// Name identifies the kind: kinds of equal name in two views are the same devices.
	Name string
	// Label is a short name for sentences. Several kinds may share it.
	Label string
	GPU   bool
	RDMA  bool
	// Plugin is set for devices that a device plugin offers under this extended resource.
	Plugin v1.ResourceName
}

// kindTable numbers the kinds of a layout.
type kindTable struct {
	kinds      []Kind
	of         map[signature]int
	signatures []signature
	plugin     map[v1.ResourceName]int
}

// renumberKinds rebuilds the table if the signatures present have changed, and returns whether they have. Kinds are
// in the order of their names, so they do not depend on the order in which devices came.
func (l *layout) renumberKinds(inv *Inventory) bool {
	present := l.presentSignatures(inv)
	if l.current == l.generation && slices.Equal(present, l.kinds.signatures) {
		return false
	}
	table := kindTable{signatures: present, of: map[signature]int{}, plugin: map[v1.ResourceName]int{}}
	names := map[string]signature{}
	for _, s := range present {
		kind := Kind{Name: l.kindName(s), Label: l.kindLabel(s), GPU: s.gpu(), RDMA: s.rdma()}
		names[kind.Name] = s
		table.kinds = append(table.kinds, kind)
	}
	for _, name := range l.plugins {
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
	l.kinds = table
	return true
}

// distinctSignatures sorts the signatures that are counted and drops duplicates.
func distinctSignatures(all iter.Seq[signature]) []signature {
	distinct := slices.Compact(slices.Sorted(all))
	return slices.DeleteFunc(distinct, func(s signature) bool { return !s.counted() })
}

// kindName spells out the signature without positions, so that it means the same in every layout.
func (l *layout) kindName(s signature) string {
	var parts []string
	for i, q := range l.queries {
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

func (l *layout) kindLabel(s signature) string {
	switch {
	case s.gpu():
		return "GPU"
	case s.rdma():
		return "RDMA NIC"
	}
	for i, q := range l.queries {
		if s.has(i) {
			return q.class
		}
	}
	return ""
}

// label identifies a query: its class, and a hash of its key.
func (q *deviceQuery) label() string { return q.class + "{" + shortHash(q.key) + "}" }

func shortHash(text string) string {
	h := fnv.New64a()
	// Writing to a hash never fails.
	_, _ = h.Write([]byte(text))
	return strconv.FormatUint(h.Sum64(), 36)
}

// isGPUResource returns true for the names under which device plugins offer GPUs.
func isGPUResource(name v1.ResourceName) bool {
	return name == "nvidia.com/gpu" || name == "amd.com/gpu" || strings.HasPrefix(string(name), "nvidia.com/mig-")
}
