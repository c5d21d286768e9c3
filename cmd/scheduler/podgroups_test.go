// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/controllers"
	"github.com/dovetail-dev/dovetail/pkg/plugins"
)

func TestHelpShowsOurFlag(t *testing.T) {
	got := execute(t, "--help")
	for _, want := range []string{"Dovetail flags:", "--native-groups", "dovetail.dev/native-gang", "docs/podgroup-controller.md"} {
		if !strings.Contains(got, want) {
			t.Errorf("--help does not say %q", want)
		}
	}
}

// The replicas with --native-groups use the scheduler's leader election settings.
func TestPodGroupsElectAsTheSchedulerDoes(t *testing.T) {
	shipped := controllers.Election{Namespace: "dovetail-system", Name: "dovetail-native-groups",
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second}
	slower := shipped
	slower.Namespace, slower.LeaseDuration = "elsewhere", time.Minute
	tests := map[string]struct {
		args []string
		want plugins.Extras
	}{
		"off":                  {nil, plugins.Extras{}},
		"on":                   {[]string{"--native-groups"}, plugins.Extras{MakePodGroups: true, Election: &shipped}},
		"on, nobody to elect":  {[]string{"--native-groups", "--leader-elect=false"}, plugins.Extras{MakePodGroups: true}},
		"a configuration file": {[]string{"--native-groups", "--config=../../manifests/scheduler-config.yaml"}, plugins.Extras{MakePodGroups: true, Election: &shipped}},
		"upstream's flags": {[]string{"--native-groups", "--leader-elect-resource-namespace=elsewhere", "--leader-elect-lease-duration=1m"},
			plugins.Extras{MakePodGroups: true, Election: &slower}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := extrasOf(t, tc.args...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("extras (-want,+got):\n%s", diff)
			}
		})
	}
	if _, err := extrasOf(t, "--native-groups", "--config=/nowhere"); err == nil {
		t.Error("a configuration file that is not there is no error")
	}
}

func extrasOf(t *testing.T, args ...string) (plugins.Extras, error) {
	t.Helper()
	cmd, s := newCommandWith()
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	config, err := s.configured(cmd.Flags())
	if err != nil {
		return plugins.Extras{}, err
	}
	readElection(&config.LeaderElection, &s.extras)
	return s.extras, nil
}
