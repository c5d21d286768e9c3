// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	fwk "k8s.io/kube-scheduler/framework"
	kubeconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/plugins/draaware"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang"
	"github.com/dovetail-dev/dovetail/pkg/plugins/preemption"
	"github.com/dovetail-dev/dovetail/pkg/plugins/topology"
)

// CheckProfiles returns the mistakes in profiles that do not keep the scheduler from starting,
// but make it do something else than the profiles say. written has, for each profile, the names
// of the plugins for which the configuration has arguments. A profile with the stock
// scheduler's name is a mistake unless replacesDefault is set.
func CheckProfiles(profiles []kubeconfig.KubeSchedulerProfile, written [][]string, replacesDefault bool) field.ErrorList {
	var errs field.ErrorList
	for i := range profiles {
		path, profile := field.NewPath("profiles").Index(i), &profiles[i]
		if profile.SchedulerName == v1.DefaultSchedulerName && !replacesDefault {
			errs = append(errs, field.Invalid(path.Child("schedulerName"), profile.SchedulerName,
				"the stock scheduler places the pods of this name: choose another, or start with --replace-default-scheduler where no stock scheduler has it"))
		}
		if i < len(written) {
			errs = append(errs, checkArguments(path, profile, written[i])...)
		}
		errs = append(errs, checkDevices(path, profile)...)
		if enables(profile, preemption.Name) && enables(profile, names.DefaultPreemption) {
			errs = append(errs, field.Forbidden(path.Child("plugins", "multiPoint"), "Preemption runs DefaultPreemption inside it: disable DefaultPreemption"))
		}
		if enables(profile, gang.GateName) && !enables(profile, gang.Name) {
			errs = append(errs, field.Required(path.Child("plugins", "multiPoint"), "plugin GangGate does nothing without Gang: enable Gang too"))
		}
	}
	return errs
}

// checkArguments returns an error for the arguments of each plugin that the profile does not
// enable.
func checkArguments(path *field.Path, profile *kubeconfig.KubeSchedulerProfile, written []string) field.ErrorList {
	var errs field.ErrorList
	for i, name := range written {
		if !enables(profile, name) {
			errs = append(errs, field.Invalid(path.Child("pluginConfig").Index(i).Child("name"), name,
				"the profile does not enable this plugin, so its arguments have no effect: enable it in plugins.multiPoint, or remove them"))
		}
	}
	return errs
}

// checkDevices returns an error if the profile enables DRAAware together with DynamicResources,
// which DRAAware runs inside it. It also returns one if the arguments of the plugin Topology
// have a level of device attributes, and DRAAware, which reads devices, is not enabled.
func checkDevices(path *field.Path, profile *kubeconfig.KubeSchedulerProfile) field.ErrorList {
	if enables(profile, draaware.Name) {
		if enables(profile, names.DynamicResources) {
			return field.ErrorList{field.Forbidden(path.Child("plugins", "multiPoint"), "DRAAware runs DynamicResources inside it: disable DynamicResources")}
		}
		return nil
	}
	at := slices.IndexFunc(profile.PluginConfig, func(plugin kubeconfig.PluginConfig) bool { return plugin.Name == topology.Name })
	if at < 0 || !enables(profile, topology.Name) {
		return nil
	}
	args, err := config.DecodeTopologyArgs(profile.PluginConfig[at].Args)
	if err != nil {
		return nil // the plugin Topology returns this error itself
	}
	for i, level := range args.Levels {
		if level.DeviceAttribute == "" {
			continue
		}
		where := path.Child("pluginConfig").Key(topology.Name).Child("args")
		if args.Preset != "" {
			where = where.Child("preset")
		} else {
			where = where.Child("levels").Index(i).Child("deviceAttribute")
		}
		return field.ErrorList{field.Invalid(where, level.DeviceAttribute,
			"a level of device attributes needs the plugin DRAAware, which reads devices: enable it in plugins.multiPoint and disable DynamicResources")}
	}
	return nil
}

// enables reports whether the profile enables the plugin at any extension point.
func enables(profile *kubeconfig.KubeSchedulerProfile, name string) bool {
	if profile.Plugins == nil {
		return false
	}
	if has(profile.Plugins.MultiPoint, name) {
		return true
	}
	return slices.ContainsFunc(points, func(p point) bool { return has(*p.set(profile.Plugins), name) })
}

func has(set kubeconfig.PluginSet, name string) bool { return position(set, name) >= 0 }

// position returns the index of the plugin among those enabled, -1 for none.
func position(set kubeconfig.PluginSet, name string) int {
	return slices.IndexFunc(set.Enabled, func(plugin kubeconfig.Plugin) bool { return plugin.Name == name })
}

// point is an extension point: its name in a profile, a function that returns its plugins in a
// profile, and one that reports whether a plugin implements it.
type point struct {
	name string
	set  func(*kubeconfig.Plugins) *kubeconfig.PluginSet
	of   func(fwk.Plugin) bool
}

func is[T fwk.Plugin](plugin fwk.Plugin) bool {
	_, ok := plugin.(T)
	return ok
}

var points = []point{
	{"preEnqueue", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.PreEnqueue }, is[fwk.PreEnqueuePlugin]},
	{"queueSort", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.QueueSort }, is[fwk.QueueSortPlugin]},
	{"preFilter", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.PreFilter }, is[fwk.PreFilterPlugin]},
	{"filter", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.Filter }, is[fwk.FilterPlugin]},
	{"postFilter", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.PostFilter }, is[fwk.PostFilterPlugin]},
	{"preScore", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.PreScore }, is[fwk.PreScorePlugin]},
	{"score", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.Score }, is[fwk.ScorePlugin]},
	{"reserve", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.Reserve }, is[fwk.ReservePlugin]},
	{"permit", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.Permit }, is[fwk.PermitPlugin]},
	{"preBind", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.PreBind }, is[fwk.PreBindPlugin]},
	{"bind", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.Bind }, is[fwk.BindPlugin]},
	{"postBind", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.PostBind }, is[fwk.PostBindPlugin]},
	{"placementGenerate", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.PlacementGenerate }, is[fwk.PlacementGeneratePlugin]},
	{"placementScore", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.PlacementScore }, is[fwk.PlacementScorePlugin]},
	{"podGroupPostFilter", func(p *kubeconfig.Plugins) *kubeconfig.PluginSet { return &p.PodGroupPostFilter }, is[fwk.PodGroupPostFilterPlugin]},
}

// ours are Dovetail's plugins, by their names.
var ours = []struct {
	name   string
	plugin fwk.Plugin
}{
	{gang.Name, (*gang.Gang)(nil)}, {gang.GateName, (*gang.Gate)(nil)}, {topology.Name, (*topology.Topology)(nil)}, {draaware.Name, (*draaware.DRAAware)(nil)},
	{preemption.Name, (*preemption.Preemption)(nil)},
}

// CheckPoints returns an error for each of Dovetail's plugins that runs at some of its
// extension points and not at others. It also returns one for a profile in which
// Preemption or DefaultPreemption runs before the plugin Gang: pods could then be evicted for a
// single member of a gang. running has the plugins that run at each extension point, by
// profile.
func CheckPoints(running []*kubeconfig.Plugins) field.ErrorList {
	var errs field.ErrorList
	for i, list := range running {
		path := field.NewPath("profiles").Index(i).Child("plugins")
		for _, our := range ours {
			errs = append(errs, checkPoints(path, our.name, our.plugin, list)...)
		}
		for _, name := range []string{preemption.Name, names.DefaultPreemption} {
			first, preempts := position(list.PostFilter, gang.Name), position(list.PostFilter, name)
			if first > preempts && preempts >= 0 {
				errs = append(errs, field.Invalid(path.Child("postFilter", "enabled"), enabledNames(list.PostFilter),
					"plugin Gang must come before "+name+", which would evict pods for a single member of a gang: name Gang here too"))
			}
		}
	}
	return errs
}

// checkPoints returns an error if the plugin runs, but is missing at some of the extension
// points that it implements.
func checkPoints(path *field.Path, name string, plugin fwk.Plugin, running *kubeconfig.Plugins) field.ErrorList {
	var missing []string
	runs := false
	for _, p := range points {
		if !p.of(plugin) {
			continue
		}
		if has(*p.set(running), name) {
			runs = true
		} else {
			missing = append(missing, p.name)
		}
	}
	if !runs || len(missing) == 0 {
		return nil
	}
	at := path.Child("multiPoint")
	if len(missing) == 1 {
		at = path.Child(missing[0])
	}
	return field.ErrorList{field.Required(at, fmt.Sprintf("plugin %s is missing at %s, and works only at all of its extension points: enable it in multiPoint, and disable it nowhere",
		name, strings.Join(missing, ", ")))}
}

func enabledNames(set kubeconfig.PluginSet) []string {
	all := make([]string, len(set.Enabled))
	for i, plugin := range set.Enabled {
		all[i] = plugin.Name
	}
	return all
}
