// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	kubeschedulerv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/kubernetes/pkg/scheduler"
	kubeconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/profile"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/pkg/plugins"
)

// dryRunConfig checks the configuration as far as possible without an API server, and
// prints the names of its profiles. It makes the scheduler with all plugins and starts
// nothing.
func (s *settings) dryRunConfig(cmd *cobra.Command) error {
	flags := cmd.Flags()
	config, err := s.configured(flags)
	if err != nil {
		return err
	}
	if err := s.checkConfig(flags, config); err != nil {
		return err
	}
	if errs := s.upstream.Validate(); len(errs) > 0 {
		return errors.NewAggregate(errs)
	}
	ctx, cancel := context.WithCancel(klog.NewContext(cmd.Context(), klog.Logger{})) // this logger discards everything
	defer cancel()
	sched, err := schedulerOffline(ctx, config)
	if err != nil {
		return err
	}
	if err := checkPoints(config.Profiles, sched); err != nil {
		return err
	}
	var names []string
	for i := range config.Profiles {
		names = append(names, config.Profiles[i].SchedulerName)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "the configuration is valid; profiles: %s\n", strings.Join(names, ", "))
	return err
}

// schedulerOffline makes the scheduler of a configuration, with a client whose requests get
// no answer.
func schedulerOffline(ctx context.Context, config *kubeconfig.KubeSchedulerConfiguration) (*scheduler.Scheduler, error) {
	nowhere := &rest.Config{Host: "https://127.0.0.1:1", Transport: unanswered{}}
	client, err := kubernetes.NewForConfig(nowhere)
	if err != nil {
		return nil, fmt.Errorf("making a client without a server: %w", err)
	}
	recorders := profile.NewRecorderFactory(events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()}))
	return scheduler.New(ctx, client, scheduler.NewInformerFactory(client, 0, nil), nil, recorders,
		scheduler.WithKubeConfig(nowhere),
		scheduler.WithProfiles(config.Profiles...),
		scheduler.WithFrameworkOutOfTreeRegistry(plugins.Registry()),
		scheduler.WithExtenders(config.Extenders...),
	)
}

// unanswered is a transport whose requests wait until their caller gives up.
type unanswered struct{}

// RoundTrip waits for the end of the request's context.
func (unanswered) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// checkConfig returns the mistakes in a configuration with which the scheduler would start
// but not do what the configuration says.
func (s *settings) checkConfig(flags *pflag.FlagSet, config *kubeconfig.KubeSchedulerConfiguration) error {
	written, err := writtenArguments(flags)
	if err != nil {
		return err
	}
	return plugins.CheckProfiles(config.Profiles, written, s.replacesDefault).ToAggregate()
}

// checkPoints returns an error if a plugin of Dovetail is missing at one of its extension
// points, or preemption for single pods comes before that for gangs.
func checkPoints(profiles []kubeconfig.KubeSchedulerProfile, sched *scheduler.Scheduler) error {
	running := make([]*kubeconfig.Plugins, len(profiles))
	for i := range profiles {
		running[i] = sched.Profiles[profiles[i].SchedulerName].ListPlugins()
	}
	return plugins.CheckPoints(running).ToAggregate()
}

// writtenArguments returns, for each profile, the names of the plugins for which the
// configuration has arguments. The decoded configuration has default arguments as well.
func writtenArguments(flags *pflag.FlagSet) ([][]string, error) {
	text, err := configText(flags)
	if err != nil {
		return nil, err
	}
	var config kubeschedulerv1.KubeSchedulerConfiguration
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("reading the arguments of plugins: %w", err)
	}
	written := make([][]string, len(config.Profiles))
	for i := range config.Profiles {
		for _, plugin := range config.Profiles[i].PluginConfig {
			written[i] = append(written[i], plugin.Name)
		}
	}
	return written, nil
}
