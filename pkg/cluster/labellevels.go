// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"sync"

	fwk "k8s.io/kube-scheduler/framework"
)

// maxExtensions is how many caches with further levels a profile keeps. Each costs
// as much memory as the profile's own; workloads of one cluster name few labels.
const maxExtensions = 4

// extensions are the caches of a profile that have further levels, the latest last.
type extensions struct {
	mu   sync.Mutex
	list []extension
}

type extension struct {
	labels string
	// labelCount is how many nodes had the labels when the cache was made.
	labelCount int
	cache      *Cache
}

// CacheWithLabels returns a cache that has, beside the profile's levels, a level for
// each of the node labels that is not one of them, by the label's name. For one
// label alone it stands above all others, so that they never cut its domains. Nested
// says that what requires a domain of it may stand in a scope that requires one of
// another level: then each stands where it belongs by the nodes that there are.
func (d *Profile) CacheWithLabels(labels []string, nested bool, nodes []fwk.NodeInfo) (*Cache, error) {
	base, err := d.Cache()
	if err != nil {
		return nil, err
	}
	labels = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(labels))), func(label string) bool {
		return base.LevelOf(label) != ""
	})
	if len(labels) == 0 {
		return base, nil
	}
	wanted := extension{labels: strings.Join(labels, " ")}
	if nested {
		wanted.labels, wanted.labelCount = "nested "+wanted.labels, labelCount(labels, nodes)
	}
	d.extended.mu.Lock()
	defer d.extended.mu.Unlock()
	if at := d.extended.find(wanted.labels); at >= 0 {
		if d.extended.list[at].labelCount == wanted.labelCount {
			return d.extended.list[at].cache, nil
		}
		d.extended.list = slices.Delete(d.extended.list, at, at+1)
	}
	levels := base.levels
	for _, label := range labels {
		levels = withLevel(levels, label, nested, nodes)
	}
	if wanted.cache, err = newCache(levels, base.devices); err != nil {
		return nil, err
	}
	d.extended.add(wanted)
	return wanted.cache, nil
}

func (e *extensions) find(labels string) int {
	return slices.IndexFunc(e.list, func(known extension) bool { return known.labels == labels })
}

func (e *extensions) add(added extension) {
	if len(e.list) == maxExtensions {
		e.list = slices.Delete(e.list, 0, 1)
	}
	e.list = append(e.list, added)
}

// labelCount counts the labels on the nodes.
func labelCount(labels []string, nodes []fwk.NodeInfo) int {
	n := 0
	for _, info := range nodes {
		for _, label := range labels {
			if node := info.Node(); node != nil && node.Labels[label] != "" {
				n++
			}
		}
	}
	return n
}

// withLevel puts a label among the levels, if they may be nested below those whose
// domains it divides. A level that it does not nest in is cut by it.
func withLevel(levels []Level, label string, nested bool, nodes []fwk.NodeInfo) []Level {
	at := 0
	for i, level := range levels {
		if nested && level.NodeLabel != "" && divides(label, level.NodeLabel, nodes) {
			at = i + 1
		}
	}
	return slices.Insert(slices.Clone(levels), at, Level{Name: label, NodeLabel: label})
}

// divides reports that all nodes with one value of the finer label have one value of the
// coarser.
func divides(finer, coarser string, nodes []fwk.NodeInfo) bool {
	in := map[string]string{}
	for _, info := range nodes {
		node := info.Node()
		if node == nil || node.Labels[finer] == "" {
			continue
		}
		value, known := in[node.Labels[finer]]
		if known && value != node.Labels[coarser] {
			return false
		}
		in[node.Labels[finer]] = node.Labels[coarser]
	}
	return true
}

// LevelOf returns the name of the level whose domains the node label names, "" if
// there is none.
func (s *Cache) LevelOf(label string) string {
	for _, level := range s.levels { // they never change
		if level.DeviceAttribute == "" && level.NodeLabel == label {
			return level.Name
		}
	}
	return ""
}
