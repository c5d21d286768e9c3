// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// The gates follow the served resources. The command line can turn off a gate whose
// resource is served, but cannot turn on a gate whose resource is not.
func TestGatesFollowWhatIsServed(t *testing.T) {
	const (
		rules      = "devicetaintrules.v1.resource.k8s.io"
		groups     = "podgroups.v1beta1.scheduling.k8s.io"
		composites = "compositepodgroups.v1alpha3.scheduling.k8s.io"
	)
	on := func(gates ...string) map[string]bool { return gatesSet(true, gates...) }
	tests := map[string]struct {
		served []string
		flags  map[string]bool
		want   map[string]bool
	}{
		"1.37 as it comes":           {served: []string{rules}, want: map[string]bool{}},
		"1.36 and 1.35 as they come": {want: gatesSet(false, "DRADeviceTaintRules")},
		"PodGroups": {
			served: []string{rules, groups},
			want:   on("GenericWorkload", "TopologyAwareWorkloadScheduling", "DRAWorkloadResourceClaims"),
		},
		"hierarchies": {
			served: []string{rules, groups, composites},
			want:   on("GenericWorkload", "TopologyAwareWorkloadScheduling", "DRAWorkloadResourceClaims", "CompositePodGroup"),
		},
		"hierarchies without PodGroups": {served: []string{rules, composites}, want: map[string]bool{}},
		"kept off": {
			served: []string{rules, groups, composites}, flags: gatesSet(false, "GenericWorkload"),
			want: map[string]bool{},
		},
		"kept off in part": {
			served: []string{rules, groups, composites}, flags: gatesSet(false, "TopologyAwareWorkloadScheduling"),
			want: on("GenericWorkload", "DRAWorkloadResourceClaims"),
		},
		"asked for in vain": {
			served: []string{rules}, flags: on("GenericWorkload", "TopologyAwareWorkloadScheduling", "WorkloadWithJob"),
			want: gatesSet(false, "GenericWorkload", "TopologyAwareWorkloadScheduling", "WorkloadWithJob"),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			gates := utilfeature.DefaultMutableFeatureGate.DeepCopyAndReset()
			if err := gates.AddDependencies(utilfeature.DefaultMutableFeatureGate.Dependencies()); err != nil {
				t.Fatal(err)
			}
			if err := gates.SetFromMap(test.flags); err != nil {
				t.Fatal(err)
			}
			served := map[schema.GroupVersionResource]bool{}
			for _, resource := range test.served {
				resource, _ := schema.ParseResourceArg(resource)
				served[*resource] = true
			}
			got := gateChanges(served, gates)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("changes (-want,+got):\n%s", diff)
			}
			if err := gates.SetFromMap(got); err != nil {
				t.Errorf("the changes are refused: %v", err)
			}
		})
	}
}

func gatesSet(to bool, gates ...string) map[string]bool {
	set := map[string]bool{}
	for _, gate := range gates {
		set[gate] = to
	}
	return set
}
