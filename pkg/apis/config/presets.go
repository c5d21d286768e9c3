// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import "slices"

// Preset is a built-in list of fabric levels for the labels that a known tool
// or cloud puts on nodes.
type Preset struct {
	Name string
	// Source says who sets the labels.
	Source string
	Levels []TopologyLevel
}

// The labels of Kubernetes itself, which every cloud sets.
const (
	regionLabel = "topology.kubernetes.io/region"
	zoneLabel   = "topology.kubernetes.io/zone"
)

// presets is in the order in which documentation and errors list them.
// Levels of equal meaning have equal names in all presets, so that a workload's
// annotations survive a change of preset.
var presets = []Preset{
	{
		Name:   "topograph",
		Source: "NVIDIA topograph 0.2 to 0.5",
		Levels: levels("core", "network.topology.nvidia.com/core",
			"spine", "network.topology.nvidia.com/spine",
			"leaf", "network.topology.nvidia.com/leaf"),
	},
	{
		Name:   "topograph-v0.1",
		Source: "NVIDIA topograph 0.1",
		Levels: levels("datacenter", "network.topology.nvidia.com/datacenter",
			"spine", "network.topology.nvidia.com/spine",
			"block", "network.topology.nvidia.com/block"),
	},
	{
		Name:   "topograph-v1",
		Source: "NVIDIA topograph 1.0, whose tier 0 is the closest to the node",
		Levels: levels("core", "fabric.topograph.run/tier-2",
			"spine", "fabric.topograph.run/tier-1",
			"leaf", "fabric.topograph.run/tier-0"),
	},
	{
		Name:   "nvlink",
		Source: "NVIDIA GPU operator; a clique is one NVLink domain",
		Levels: levels("zone", zoneLabel,
			"clique", "nvidia.com/gpu.clique"),
	},
	{
		Name:   "aws",
		Source: "Amazon EKS and EC2",
		Levels: levels("zone", zoneLabel,
			"layer-1", "topology.k8s.aws/network-node-layer-1",
			"layer-2", "topology.k8s.aws/network-node-layer-2",
			"layer-3", "topology.k8s.aws/network-node-layer-3"),
	},
	{
		Name:   "gke",
		Source: "Google Kubernetes Engine",
		Levels: levels("zone", zoneLabel,
			"block", "cloud.google.com/gce-topology-block",
			"subblock", "cloud.google.com/gce-topology-subblock",
			"host", "cloud.google.com/gce-topology-host"),
	},
	{
		Name:   "oci",
		Source: "Oracle Cloud Infrastructure",
		Levels: levels("zone", zoneLabel,
			"block", "oci.oraclecloud.com/host.network_block_id",
			"rack", "oci.oraclecloud.com/host.rack_id"),
	},
	{
		Name:   "kubernetes",
		Source: "any cloud provider",
		Levels: levels("region", regionLabel, "zone", zoneLabel),
	},
	{
		Name:   "flat",
		Source: "no labels: every node is as far from every other",
	},
}

// Presets returns every preset, in a fixed order. The caller owns the result.
func Presets() []Preset {
	out := slices.Clone(presets)
	for i := range out {
		out[i].Levels = slices.Clone(out[i].Levels)
	}
	return out
}

// PresetNames returns the names of the presets in the same order.
func PresetNames() []string {
	names := make([]string, len(presets))
	for i, preset := range presets {
		names[i] = preset.Name
	}
	return names
}

func presetLevels(name string) ([]TopologyLevel, bool) {
	i := slices.IndexFunc(presets, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	return slices.Clone(presets[i].Levels), true
}

// levels builds a list from pairs of a level's name and its node label.
func levels(pairs ...string) []TopologyLevel {
	out := make([]TopologyLevel, 0, len(pairs)/2)
	for pair := range slices.Chunk(pairs, 2) {
		out = append(out, TopologyLevel{Name: pair[0], NodeLabel: pair[1]})
	}
	return out
}
