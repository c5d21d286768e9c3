// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"
	componentbaseconfig "k8s.io/component-base/config"
	kubeconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	kubescheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"

	"github.com/dovetail-dev/dovetail/pkg/controllers"
	"github.com/dovetail-dev/dovetail/pkg/plugins"
)

// podGroupLeaseSuffix is appended to the name of the scheduler's lease to name the lease of
// --native-groups. The role in manifests/native-groups allows that name.
const podGroupLeaseSuffix = "-native-groups"

// addOwnFlags adds Dovetail's own flags.
func addOwnFlags(own *pflag.FlagSet, s *settings) {
	own.BoolVar(&s.extras.MakePodGroups, "native-groups", false,
		`Make a scheduling.k8s.io/v1beta1 PodGroup for each RayCluster and JobSet whose pod templates all carry the label `+
			`dovetail.dev/native-gang: "true", and keep its minCount true. Needs what manifests/native-groups installs; see docs/podgroup-controller.md.`)
	own.BoolVar(&s.dryRun, "dry-run-config", false,
		`Check the configuration of --config, or the built-in one, without an API server: print the first mistakes with their fields and exit with 1, `+
			`or exit with 0. See docs/config.md.`)
	own.BoolVar(&s.replacesDefault, "replace-default-scheduler", false,
		`Allow a profile called default-scheduler. Two schedulers that place the same pods undo each other's work, so no stock scheduler may run with that profile.`)
}

// readElection sets the leader election for the PodGroup controller (--native-groups). The
// controller has a lease beside the scheduler's, or none if the scheduler has none.
func readElection(elect *componentbaseconfig.LeaderElectionConfiguration, extras *plugins.Extras) {
	if !extras.MakePodGroups || !elect.LeaderElect {
		return
	}
	extras.Election = &controllers.Election{
		Namespace: elect.ResourceNamespace, Name: elect.ResourceName + podGroupLeaseSuffix,
		LeaseDuration: elect.LeaseDuration.Duration, RenewDeadline: elect.RenewDeadline.Duration, RetryPeriod: elect.RetryPeriod.Duration,
	}
}

// configured returns the configuration that the scheduler will read, with upstream's flags
// for leader election applied.
func (s *settings) configured(flags *pflag.FlagSet) (*kubeconfig.KubeSchedulerConfiguration, error) {
	text, err := configText(flags)
	if err != nil {
		return nil, err
	}
	object, _, err := kubescheme.Codecs.UniversalDecoder().Decode(text, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	config, ok := object.(*kubeconfig.KubeSchedulerConfiguration)
	if !ok {
		return nil, fmt.Errorf("the configuration is a %T", object)
	}
	s.upstream.ApplyLeaderElectionTo(config)
	return config, nil
}

func configText(flags *pflag.FlagSet) ([]byte, error) {
	if !flags.Changed("config") {
		return builtInConfig(flags)
	}
	path, err := flags.GetString("config")
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
