// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"strings"
	"testing"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
	"github.com/google/go-cmp/cmp"
)

func TestErrorNamesTheInvalidOption(t *testing.T) {
	for mention, options := range map[string]Options{
		"kubelet":       {Without: []string{"kubelet"}},
		"grove":         {With: []string{"grove"}},
		"without etcd":  {Without: []string{Etcd}},
		"standby needs": {With: []string{DovetailStandby}, Without: []string{Dovetail}},
		"coredns":       {Args: map[string][]string{"coredns": {"-v"}}},
		"slurm":         {KubeRayBatchScheduler: "slurm"},
		"A=maybe":       {FeatureGates: "A=maybe"},
		"kwok":          {Fleets: []fleet.Spec{fleet.Default()}, Without: []string{Kwok}},
		"two fleets":    {Fleets: []fleet.Spec{fleet.Default(), fleet.Default()}},
		"nodes is 0":    {Fleets: []fleet.Spec{{Name: "a", Shape: fleet.Plain, Spines: 1, Leaves: 1}}},
	} {
		err := options.Validate()
		if err == nil {
			t.Errorf("options with %s are accepted", mention)
		} else if !strings.Contains(err.Error(), mention) {
			t.Errorf("the error does not mention %q: %v", mention, err)
		}
	}
	good := Options{Fleets: []fleet.Spec{fleet.Default()}, Without: []string{KubeRay, Dovetail}, FeatureGates: "A=true, B=false"}
	if err := good.Validate(); err != nil {
		t.Errorf("good options: %v", err)
	}
}

func TestAPIVersionsFollowTheFeatureGates(t *testing.T) {
	for gates, want := range map[string]string{
		"":                      "",
		"GenericWorkload=false": "",
		"GenericWorkload=true":  "scheduling.k8s.io/v1beta1=true",
		"GenericWorkload=true,TopologyAwareWorkloadScheduling=true,CompositePodGroup=true": "scheduling.k8s.io/v1beta1=true,scheduling.k8s.io/v1alpha3=true",
	} {
		if got := (Options{FeatureGates: gates}).runtimeConfig(); got != want {
			t.Errorf("gates %q give --runtime-config=%q, want %q", gates, got, want)
		}
	}
}

func TestEqualDescriptionsMeanEqualClusters(t *testing.T) {
	describe := func(options Options) string {
		t.Helper()
		text, err := options.describe()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := describe(Options{Dir: "a", Without: []string{KubeRay, Dovetail}})
	if diff := cmp.Diff(first, describe(Options{Dir: "b", Without: []string{Dovetail, KubeRay, Dovetail}, Out: &strings.Builder{}})); diff != "" {
		t.Errorf("the same cluster is described differently:\n%s", diff)
	}
	for name, options := range map[string]Options{
		"components":    {},
		"fleets":        {Without: []string{KubeRay, Dovetail}, Fleets: []fleet.Spec{fleet.Default()}},
		"extras":        {Without: []string{KubeRay, Dovetail}, With: []string{JobSet}},
		"gates":         {Without: []string{KubeRay, Dovetail}, FeatureGates: "A=true"},
		"configuration": {Without: []string{KubeRay, Dovetail}, DovetailConfig: []byte("{}")},
	} {
		if describe(options) == first {
			t.Errorf("other %s are described alike", name)
		}
	}
}
