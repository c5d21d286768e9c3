// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/bench/perf/oracle"
	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/pkg/plugins"
)

// Profile is the name of a scheduler that can run the workloads.
type Profile string

const (
	// Stock is the unmodified kube-scheduler.
	Stock Profile = "stock"
	// Dovetail is the first profile of manifests/scheduler-config.yaml.
	Dovetail Profile = "dovetail"
	// Oracle chooses nodes without a search. Its throughput is an upper bound.
	Oracle Profile = "oracle"
)

// Profiles returns all schedulers, in the order in which a round runs them.
func Profiles() []Profile { return []Profile{Stock, Dovetail, Oracle} }

// contender is the implementation of a profile.
type contender struct {
	// registry returns the out-of-tree plugins; nil for none.
	registry func() frameworkruntime.Registry
	// alter sets the contender's plugins in a profile of upstream's configuration, for a
	// workload with these feature gates. nil keeps upstream's profile.
	alter func(profile *schedulerv1.KubeSchedulerProfile, gates map[string]bool) error
}

var contenders = map[Profile]contender{
	Stock:    {},
	Dovetail: {registry: plugins.Registry, alter: useShippedPlugins},
	Oracle:   {registry: oracle.Registry, alter: useOracle},
}

// writeSchedulerConfig writes the result of schedulerConfig to a file.
func (c contender) writeSchedulerConfig(name, stockFile string, gates map[string]bool) error {
	text, err := c.schedulerConfig(stockFile, gates)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o600)
}

// schedulerConfig returns upstream's scheduler configuration with each profile altered. If
// upstream has no file, it alters a single profile with the scheduler name of upstream's
// pods.
func (c contender) schedulerConfig(stockFile string, gates map[string]bool) ([]byte, error) {
	cfg := schedulerv1.KubeSchedulerConfiguration{
		Profiles: []schedulerv1.KubeSchedulerProfile{{}},
	}
	if stockFile != "" {
		text, err := os.ReadFile(stockFile)
		if err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(text, &cfg); err != nil {
			return nil, fmt.Errorf("%s: %w", stockFile, err)
		}
	}
	cfg.APIVersion, cfg.Kind = schedulerv1.SchemeGroupVersion.String(), "KubeSchedulerConfiguration"
	for i := range cfg.Profiles {
		profile := &cfg.Profiles[i]
		if profile.SchedulerName == nil {
			name := corev1.DefaultSchedulerName
			profile.SchedulerName = &name
		}
		if c.alter == nil {
			continue
		}
		if err := c.alter(profile, gates); err != nil {
			return nil, fmt.Errorf("%s: profile %s: %w", stockFile, *profile.SchedulerName, err)
		}
	}
	return yaml.Marshal(&cfg)
}

// useShippedPlugins sets the plugins of Dovetail's shipped configuration in a profile, and
// appends their arguments.
func useShippedPlugins(profile *schedulerv1.KubeSchedulerProfile, _ map[string]bool) error {
	if profile.Plugins != nil {
		return fmt.Errorf("it names its own plugins, which cannot be merged with Dovetail's")
	}
	for _, arguments := range profile.PluginConfig {
		if arguments.Name == names.DynamicResources {
			return fmt.Errorf("it has arguments for %s, which Dovetail replaces", arguments.Name)
		}
	}
	var shipped schedulerv1.KubeSchedulerConfiguration
	if err := yaml.UnmarshalStrict(manifests.SchedulerConfig, &shipped); err != nil {
		return fmt.Errorf("reading manifests/scheduler-config.yaml: %w", err)
	}
	profile.Plugins = shipped.Profiles[0].Plugins
	profile.PluginConfig = append(profile.PluginConfig, shipped.Profiles[0].PluginConfig...)
	return nil
}

// useOracle enables only the oracle and the plugins that binding, PodGroups and claims
// need.
func useOracle(profile *schedulerv1.KubeSchedulerProfile, gates map[string]bool) error {
	enabled := []string{names.SchedulingGates, names.PrioritySort, oracle.Name}
	if gates[string(features.DynamicResourceAllocation)] {
		enabled = append(enabled, oracle.DevicesName)
	}
	if gates[string(features.GenericWorkload)] {
		enabled = append(enabled, names.GangScheduling)
	}
	set := schedulerv1.PluginSet{Disabled: []schedulerv1.Plugin{{Name: "*"}}}
	for _, name := range append(enabled, names.DefaultBinder) {
		set.Enabled = append(set.Enabled, schedulerv1.Plugin{Name: name})
	}
	profile.Plugins, profile.PluginConfig = &schedulerv1.Plugins{MultiPoint: set}, nil
	return nil
}
