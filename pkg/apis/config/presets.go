// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import "slices"

// Preset is a built-in list of levels of the network (such as zone and rack), for the labels
// that a known tool or cloud puts on nodes, or for the attributes that it gives to the nodes'
// devices.
type Preset struct {
	Name string
	// Source names the tool or cloud that sets the labels and attributes.
	Source string
	Levels []TopologyLevel
}

const (
	// The labels of Kubernetes itself, which every cloud sets.
	regionLabel = "topology.kubernetes.io/region"
	zoneLabel   = "topology.kubernetes.io/zone"
	// cliqueLabel is set by NVIDIA's GPU operator on nodes whose NVLink connects several
	// machines.
	cliqueLabel = "nvidia.com/gpu.clique"
)

// presets has the presets in the order in which documentation and errors list them. Levels
// of equal meaning have equal names in all presets, so that a workload's annotations, which
// name levels, stay valid with another preset.
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
			"clique", cliqueLabel),
	},
	{
		// Azure has no node labels for its fabric. InfiniBand does not cross placement
		// groups. An interconnect subgroup is a block of nodes, for GB200 and GB300 a rack.
		// NVLink spans a rack or less.
		Name:   "azure",
		Source: "Azure, through DRANET; cliques by the NVIDIA GPU operator",
		Levels: slices.Concat(levels("zone", zoneLabel),
			bounded(attributeLevels("placement-group", "azure.dra.net/placementGroupId")),
			attributeLevels("interconnect-group", "azure.dra.net/interconnectGroupId",
				"interconnect-subgroup", "azure.dra.net/interconnectSubgroupId"),
			levels("clique", cliqueLabel)),
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
		Name:   "gke-dra",
		Source: "Google Kubernetes Engine, through DRANET",
		Levels: slices.Concat(levels("zone", zoneLabel),
			attributeLevels("block", "gce.dra.net/block",
				"subblock", "gce.dra.net/subBlock",
				"host", "gce.dra.net/host")),
	},
	{
		Name:   "oci",
		Source: "Oracle Cloud Infrastructure",
		Levels: levels("zone", zoneLabel,
			"block", "oci.oraclecloud.com/host.network_block_id",
			"rack", "oci.oraclecloud.com/host.rack_id"),
	},
	{
		// An island has about 2,000 nodes, a block 64 to 128, a local block 8 to 32. A
		// GPU memory fabric is an NVLink domain, which only GB200 and GB300 have.
		Name:   "oci-dra",
		Source: "Oracle Cloud Infrastructure, through DRANET",
		Levels: slices.Concat(levels("zone", zoneLabel),
			attributeLevels("island", "oke.dra.net/hpcIslandId",
				"block", "oke.dra.net/networkBlockId",
				"local-block", "oke.dra.net/localBlockId",
				"clique", "oke.dra.net/gpuMemoryFabricId")),
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

// PresetNames returns the names of all presets, in the order of the function Presets.
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

// levels builds a list of levels from pairs of a level's name and its node label.
func levels(pairs ...string) []TopologyLevel {
	out := make([]TopologyLevel, 0, len(pairs)/2)
	for pair := range slices.Chunk(pairs, 2) {
		out = append(out, TopologyLevel{Name: pair[0], NodeLabel: pair[1]})
	}
	return out
}

// attributeLevels builds a list of levels from pairs of a level's name and its device
// attribute.
func attributeLevels(pairs ...string) []TopologyLevel {
	out := make([]TopologyLevel, 0, len(pairs)/2)
	for pair := range slices.Chunk(pairs, 2) {
		out = append(out, TopologyLevel{Name: pair[0], DeviceAttribute: pair[1]})
	}
	return out
}

// bounded marks levels between whose domains (such as two zones) RDMA cannot pass.
func bounded(levels []TopologyLevel) []TopologyLevel {
	for i := range levels {
		levels[i].Boundary = true
	}
	return levels
}
