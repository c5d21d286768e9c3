// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
)

// zoneLabels are the labels of volumes that the stock plugin VolumeZone compares with those
// of nodes, each with the label that newer nodes have instead, if there is one.
var zoneLabels = []struct{ name, newer string }{
	{v1.LabelTopologyZone, ""},
	{v1.LabelTopologyRegion, ""},
	{v1.LabelFailureDomainBetaZone, v1.LabelTopologyZone},
	{v1.LabelFailureDomainBetaRegion, v1.LabelTopologyRegion},
}

// addZoned adds the volume of a bound claim if the volume has a zone or region.
func (p *podVolumes) addZoned(bound *v1.PersistentVolume) {
	zoned := false
	for _, label := range zoneLabels {
		if value := bound.Labels[label.name]; value != "" {
			p.addWords(label.name, value)
			zoned = true
		}
	}
	if zoned {
		p.zoned = append(p.zoned, bound)
	}
}

// inZones reports whether the node is in the zones of the pod's volumes. A node without any
// zone or region may use all volumes.
func (p *podVolumes) inZones(node *v1.Node) bool {
	hasZone := func(label struct{ name, newer string }) bool { _, ok := node.Labels[label.name]; return ok }
	if len(p.zoned) == 0 || !slices.ContainsFunc(zoneLabels, hasZone) {
		return true
	}
	for _, v := range p.zoned {
		for _, label := range zoneLabels {
			at := cmp.Or(node.Labels[label.name], node.Labels[label.newer])
			if in := v.Labels[label.name]; in != "" && !slices.Contains(strings.Split(in, volumeZoneSeparator), at) {
				return false
			}
		}
	}
	return true
}

// volumeZoneSeparator separates the zones of a volume in several zones.
const volumeZoneSeparator = "__"

// addProvisioned adds a claim that gets a new volume on the node of its first pod. The class
// and the size decide where the stock plugin VolumeBinding finds room for the volume.
func (p *podVolumes) addProvisioned(claim *v1.PersistentVolumeClaim) {
	size := claim.Spec.Resources.Requests[v1.ResourceStorage]
	p.provisioned = append(p.provisioned, claim)
	p.addWords("provisioned", volume.GetPersistentVolumeClaimClass(claim), size.String())
	if node := claim.Annotations[volume.AnnSelectedNode]; node != "" {
		p.selected = node
		p.addWords("selected", node)
	}
}
