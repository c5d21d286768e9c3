// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"sync"

	fwk "k8s.io/kube-scheduler/framework"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// stockFilters are the Filter plugins of the scheduler. The planner, which chooses the nodes of
// a gang, takes into account every reason for which they refuse a pod because of other members
// of its gang.
var stockFilters = []string{
	names.DynamicResources, names.InterPodAffinity, names.NodeAffinity, names.NodeDeclaredFeatures, names.NodeName,
	names.NodePorts, names.NodeResourcesFit, names.NodeUnschedulable, names.NodeVolumeLimits, names.PodTopologySpread,
	names.TaintToleration, names.VolumeBinding, names.VolumeRestrictions, names.VolumeZone, names.DeferredPodScheduling,
}

// pluginLister is a method of the framework that fwk.Handle omits.
type pluginLister interface {
	ListPlugins() *schedulerconfig.Plugins
}

// UnknownFilters returns a function that reports whether the profile has Filter plugins
// other than the stock ones and this project's (own). The profile's list of plugins is complete
// only after all plugins are made.
func UnknownFilters(handle fwk.Handle, own []string) func() bool {
	return sync.OnceValue(func() bool {
		profile, ok := handle.(pluginLister)
		return !ok || slices.ContainsFunc(profile.ListPlugins().Filter.Enabled, func(p schedulerconfig.Plugin) bool {
			return !slices.Contains(stockFilters, p.Name) && !slices.Contains(own, p.Name)
		})
	})
}
