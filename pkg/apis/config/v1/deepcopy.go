// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// The methods DeepCopyObject are written by hand because there are only three of them. A
// test fills every field by reflection and fails when one is shared with its copy.
var (
	_ runtime.Object = &GangArgs{}
	_ runtime.Object = &TopologyArgs{}
	_ runtime.Object = &DRAAwareArgs{}
)

// DeepCopyObject returns a copy that shares nothing with the original.
func (a *GangArgs) DeepCopyObject() runtime.Object {
	if a == nil {
		return nil
	}
	return &GangArgs{
		TypeMeta:          a.TypeMeta,
		ReportDelay:       copyValue(a.ReportDelay),
		MaxReplans:        copyValue(a.MaxReplans),
		PermitTimeout:     copyValue(a.PermitTimeout),
		HealAfter:         copyValue(a.HealAfter),
		MaxBypass:         copyValue(a.MaxBypass),
		Reserve:           copyValue(a.Reserve),
		Preemption:        copyValue(a.Preemption),
		Budgets:           copyValue(a.Budgets),
		Victims:           copyValue(a.Victims),
		MinRuntime:        copyValue(a.MinRuntime),
		PreemptAfter:      copyValue(a.PreemptAfter),
		AllowNeverPreempt: copyValue(a.AllowNeverPreempt),
		Sources:           slices.Clone(a.Sources),
		SearchBudget:      copyValue(a.SearchBudget),
	}
}

// DeepCopyObject returns a copy that shares nothing with the original.
func (a *TopologyArgs) DeepCopyObject() runtime.Object {
	if a == nil {
		return nil
	}
	levels := slices.Clone(a.Levels)
	for i := range levels {
		levels[i].NodeLabel = copyValue(levels[i].NodeLabel)
		levels[i].DeviceAttribute = copyValue(levels[i].DeviceAttribute)
		levels[i].Boundary = copyValue(levels[i].Boundary)
	}
	return &TopologyArgs{TypeMeta: a.TypeMeta, Preset: copyValue(a.Preset), Levels: levels}
}

// DeepCopyObject returns a copy that shares nothing with the original.
func (a *DRAAwareArgs) DeepCopyObject() runtime.Object {
	if a == nil {
		return nil
	}
	return &DRAAwareArgs{
		TypeMeta:       a.TypeMeta,
		FilterTimeout:  copyValue(a.FilterTimeout),
		BindingTimeout: copyValue(a.BindingTimeout),
	}
}

func copyValue[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
