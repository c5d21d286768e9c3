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

// GangSource names one way of declaring a gang (pods that are placed together).
type GangSource string

// The known sources of gangs; v1.GangArgs.Sources says which pods each of them is for.
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

// Preemption says whether pods of lower priority may be evicted to make room.
type Preemption string

// The values of Preemption.
const (
	PreemptByPriority Preemption = "Priority"
	PreemptNever      Preemption = "Never"
)

// Budgets says how evictions that make room treat PodDisruptionBudgets.
type Budgets string

// The values of Budgets.
const (
	BudgetsRespect Budgets = "Respect"
	BudgetsPrefer  Budgets = "Prefer"
)

// Victims says whose pods may be evicted to make room.
type Victims string

// The values of Victims.
const (
	VictimsAll Victims = "All"
	VictimsOwn Victims = "Own"
)

// GangArgs are the arguments of the plugin Gang, which places gangs; v1.GangArgs says what
// each field means.
type GangArgs struct {
	ReportDelay   time.Duration
	MaxReplans    int
	PermitTimeout time.Duration
	// HealAfter is 0 when gangs that lost members are never moved.
	HealAfter time.Duration
	// MaxBypass is 0 if no nodes are ever reserved for a gang that waits for room.
	MaxBypass time.Duration
	Reserve   ReserveMode
	// Preemption, Budgets and Victims say whether, how and whose pods are evicted to make
	// room. No gang is evicted before it has run for MinRuntime. PreemptAfter is how long a gang
	// waits for room before pods are evicted for it.
	Preemption   Preemption
	Budgets      Budgets
	Victims      Victims
	MinRuntime   time.Duration
	PreemptAfter time.Duration
	// AllowNeverPreempt is true if the annotation dovetail.dev/preemption protects pods.
	AllowNeverPreempt bool
	// Sources are a set: their order has no effect, because sources are always tried in
	// the order of the constants above, which the function gangs.NewSources sets.
	Sources []GangSource
	// SearchBudget is the maximum number of steps of the search for the nodes of one gang; 0
	// leaves the choice to the planner, the code that searches.
	SearchBudget int
}

// ReserveMode says which later gangs and pods may use the nodes that are reserved for a gang.
type ReserveMode string

// The modes of reservations; v1.GangArgs.Reserve says what each of them means.
const (
	ReserveKeep     ReserveMode = "Keep"
	ReserveBackfill ReserveMode = "Backfill"
)

// TopologyArgs are the arguments of the plugin Topology, which knows the levels of the
// network; v1.TopologyArgs says what each field means.
type TopologyArgs struct {
	// Preset is the name of the preset, a built-in list of levels, that Levels come from;
	// empty when the levels were written out.
	Preset string
	// Levels are the levels of the network, coarse to fine, without the level of the nodes
	// themselves. If there is a preset, they are the levels of the preset.
	Levels []TopologyLevel
}

// TopologyLevel is one level of the network, such as racks. The value of the node label or
// of the device attribute names the domain (such as one rack) of a node; one of NodeLabel
// and DeviceAttribute is empty.
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

// DRAAwareArgs are the arguments of the plugin DRAAware, which runs the stock
// DynamicResources plugin inside it and passes them on; v1.DRAAwareArgs says what each
// field means.
type DRAAwareArgs struct {
	// FilterTimeout is 0 if the search for devices on a node has no time limit.
	FilterTimeout  time.Duration
	BindingTimeout time.Duration
}
