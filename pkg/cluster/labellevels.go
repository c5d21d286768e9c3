// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"sync"

	fwk "k8s.io/kube-scheduler/framework"
)

// maxExtensions is the maximum number of caches (each keeps a state of the cluster for the
// planner) with network levels beyond those configured, per profile. Each uses as much
// memory as the profile's own cache; the workloads of a cluster name few labels.
const maxExtensions = 4

// extensions are a profile's caches with further levels, the one used last at the end.
type extensions struct {
	mu   sync.Mutex
	list []extension
}

type extension struct {
	labels string
	// labelCount is how many of the labels the nodes had, summed over the nodes, when the
	// cache was made, or 0 if the position of the new levels does not depend on the nodes.
	labelCount int
	cache      *Cache
}

// CacheWithLabels returns a cache with the profile's levels plus one level for each given
// node label that is not a level yet. The new level has the label's name. Each domain (nodes
// with one value of the label) of a level must lie in one domain of each coarser level, so a
// new level splits the domains of the finer levels. Without nested, a new level becomes the
// coarsest, so that its own domains stay undivided. With nested, a constraint on one level
// may apply inside a constraint on another: a new level is put below the levels whose domains
// it divides on the given nodes.
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
	if known, ok := d.extended.take(wanted.labels); ok && known.labelCount == wanted.labelCount {
		d.extended.add(known)
		return known.cache, nil
	}
	levels := base.levels
	for _, label := range labels {
		levels = withLevel(levels, label, nested, nodes)
	}
	if wanted.cache, err = newCache(levels, base.devices); err != nil {
		return nil, err
	}
	// Do not keep a cache for a label that no node has: no gang fits there, and the cache
	// would take the place of one that gangs use.
	if !slices.ContainsFunc(labels, func(label string) bool { return labelCount([]string{label}, nodes) == 0 }) {
		d.extended.add(wanted)
	}
	return wanted.cache, nil
}

func (e *extensions) caches() []*Cache {
	e.mu.Lock()
	defer e.mu.Unlock()
	var caches []*Cache
	for _, known := range e.list {
		caches = append(caches, known.cache)
	}
	return caches
}

// take removes the cache with these labels from the list, and returns it if there is one.
func (e *extensions) take(labels string) (known extension, ok bool) {
	at := slices.IndexFunc(e.list, func(known extension) bool { return known.labels == labels })
	if at < 0 {
		return extension{}, false
	}
	known = e.list[at]
	e.list = slices.Delete(e.list, at, at+1)
	return known, true
}

func (e *extensions) add(added extension) {
	if len(e.list) == maxExtensions {
		e.list = slices.Delete(e.list, 0, 1)
	}
	e.list = append(e.list, added)
}

// labelCount returns how many of these labels the nodes have, summed over the nodes.
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

// withLevel inserts a level for the label above all other levels or, with nested, below the
// levels whose domains it divides. It splits the domains of all levels below it.
func withLevel(levels []Level, label string, nested bool, nodes []fwk.NodeInfo) []Level {
	at := 0
	for i, level := range levels {
		if nested && level.NodeLabel != "" && divides(label, level.NodeLabel, nodes) {
			at = i + 1
		}
	}
	return slices.Insert(slices.Clone(levels), at, Level{Name: label, NodeLabel: label})
}

// divides reports whether all nodes with the same value of the finer label have the same
// value of the coarser label.
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

// LevelOf returns the name of the level that uses this node label, or "" if there is none.
func (s *Cache) LevelOf(label string) string {
	for _, level := range s.levels { // s.levels never changes
		if level.DeviceAttribute == "" && level.NodeLabel == label {
			return level.Name
		}
	}
	return ""
}
