// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import "time"

// Kind is the API kind of the arguments of one plugin.
type Kind string

// The kinds of arguments.
const (
	KindGangArgs     Kind = "GangArgs"
	KindTopologyArgs Kind = "TopologyArgs"
	KindDRAAwareArgs Kind = "DRAAwareArgs"
)

// GangSource names one way of declaring a gang.
type GangSource string

// The known sources of gangs.
const (
	SourceSchedulingGroup GangSource = "schedulinggroup"
	SourcePodGroup        GangSource = "podgroup"
	SourceVolcano         GangSource = "volcano"
	SourceYuniKorn        GangSource = "yunikorn"
	SourceKueue           GangSource = "kueue"
	SourceLeaderWorkerSet GangSource = "leaderworkerset"
	SourceRayCluster      GangSource = "raycluster"
	SourceJobSet          GangSource = "jobset"
	SourceJob             GangSource = "job"
	SourceGangLabel       GangSource = "ganglabel"
)

// GangArgs are the arguments of the Gang plugin; v1.GangArgs says what each
// field means.
type GangArgs struct {
	ReportDelay   time.Duration
	MaxReplans    int
	PermitTimeout time.Duration
	// HealAfter is 0 when gangs that lost members are never moved.
	HealAfter time.Duration
	// MaxBypass is 0 if no nodes are ever reserved for a gang that waits for room.
	MaxBypass time.Duration
	// Sources are a set: their order has no effect, because sources are always tried in
	// the order that pkg/gangs defines.
	Sources []GangSource
	// SearchBudget is the maximum number of planner steps for one plan; 0 means the
	// planner's default.
	SearchBudget int
}

// TopologyArgs are the arguments of the Topology plugin.
type TopologyArgs struct {
	// Preset is the name of the preset that Levels come from; empty when the
	// levels were written out.
	Preset string
	// Levels are the levels of the fabric, coarse to fine, without the node level. If there
	// is a preset, they are the levels of the preset.
	Levels []TopologyLevel
}

// TopologyLevel is one level of the fabric. The value of a node label or of a device
// attribute names the domain of a node; the other field is empty.
type TopologyLevel struct {
	Name            string
	NodeLabel       string
	DeviceAttribute string
	Boundary        bool
}

// LevelNames returns the names of the levels, coarse to fine, for messages
// that tell a user which ones exist.
func (a *TopologyArgs) LevelNames() []string {
	names := make([]string, len(a.Levels))
	for i, level := range a.Levels {
		names[i] = level.Name
	}
	return names
}

// DRAAwareArgs are the arguments of the DRAAware plugin, which passes them to the stock
// DynamicResources plugin.
type DRAAwareArgs struct {
	// FilterTimeout is 0 if the search for devices on a node has no time limit.
	FilterTimeout  time.Duration
	BindingTimeout time.Duration
}
