// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
)

// CountOn counts those of the given devices that only this node can use, by alignment unit
// (devices that are close to each other) and kind: the result has the units of NodeDevices.Units
// and, within each, the kinds of the last View. It returns nil for an unknown node.
func (inv *Inventory) CountOn(name string, ids sets.Set[structured.DeviceID]) [][]int {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	i, ok := inv.nodes.index[name]
	if !ok || i >= len(inv.layout.nodes) {
		return nil
	}
	cached := &inv.layout.nodes[i]
	if cached.node == nil || cached.node.name != name || len(cached.signatures) != len(cached.node.devices) {
		return nil // the node is newer than the last View
	}
	counts := make([][]int, len(cached.node.units))
	for u := range counts {
		counts[u] = make([]int, len(inv.layout.kinds.kinds))
	}
	for k, d := range cached.node.devices {
		if kind, counted := inv.layout.kinds.of[cached.signatures[k]]; counted && ids.Has(d.id) {
			counts[d.unit][kind]++
		}
	}
	return counts
}
