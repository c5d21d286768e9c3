// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"k8s.io/utils/ptr"

	v1 "github.com/dovetail-dev/dovetail/pkg/apis/config/v1"
)

// The functions of this file convert plugin arguments from version v1. They expect that the
// defaults are filled in: every pointer is set, with two exceptions. Preset is nil if the
// levels are written out. A level has either NodeLabel or DeviceAttribute, and the other one
// is nil.

func convertGang(in *v1.GangArgs) *GangArgs {
	sources := make([]GangSource, len(in.Sources))
	for i, source := range in.Sources {
		sources[i] = GangSource(source)
	}
	return &GangArgs{
		ReportDelay:       in.ReportDelay.Duration,
		MaxReplans:        int(*in.MaxReplans),
		PermitTimeout:     in.PermitTimeout.Duration,
		HealAfter:         in.HealAfter.Duration,
		MaxBypass:         in.MaxBypass.Duration,
		Reserve:           ReserveMode(*in.Reserve),
		Preemption:        Preemption(*in.Preemption),
		Budgets:           Budgets(*in.Budgets),
		Victims:           Victims(*in.Victims),
		MinRuntime:        in.MinRuntime.Duration,
		PreemptAfter:      in.PreemptAfter.Duration,
		AllowNeverPreempt: *in.AllowNeverPreempt,
		Sources:           sources,
		SearchBudget:      int(*in.SearchBudget),
	}
}

// convertTopology replaces a preset (the name of a built-in list of network levels) by its
// levels. An unknown preset gives no levels; validation reports it.
func convertTopology(in *v1.TopologyArgs) *TopologyArgs {
	if in.Preset != nil {
		levels, _ := presetLevels(*in.Preset)
		return &TopologyArgs{Preset: *in.Preset, Levels: levels}
	}
	levels := make([]TopologyLevel, len(in.Levels))
	for i, level := range in.Levels {
		levels[i] = TopologyLevel{
			Name: level.Name, NodeLabel: ptr.Deref(level.NodeLabel, ""), DeviceAttribute: ptr.Deref(level.DeviceAttribute, ""),
			Boundary: *level.Boundary,
		}
	}
	return &TopologyArgs{Levels: levels}
}

func convertDRAAware(in *v1.DRAAwareArgs) *DRAAwareArgs {
	return &DRAAwareArgs{
		FilterTimeout:  in.FilterTimeout.Duration,
		BindingTimeout: in.BindingTimeout.Duration,
	}
}
