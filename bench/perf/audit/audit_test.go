// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingapi "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

func node(name, leaf string) *v1.Node {
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{levelPrefix + "leaf": leaf}},
		Status:     v1.NodeStatus{Allocatable: v1.ResourceList{v1.ResourceCPU: resource.MustParse("2"), v1.ResourcePods: resource.MustParse("3")}},
	}
}

func pod(name, node string, changes ...func(*v1.Pod)) *v1.Pod {
	p := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name)},
		Spec: v1.PodSpec{NodeName: node, Containers: []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
			v1.ResourceCPU: resource.MustParse("500m"), "example.com/gpu": resource.MustParse("1"),
		}}}}},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func cpu(amount string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.Containers[0].Resources.Requests[v1.ResourceCPU] = resource.MustParse(amount)
	}
}

func ended(p *v1.Pod) { p.Status.Phase = v1.PodSucceeded }

func labelled(p *v1.Pod) {
	p.Labels = map[string]string{"dovetail.dev/gang-name": "g"}
	p.Annotations = map[string]string{"dovetail.dev/gang-min": "2", "dovetail.dev/topology-required": "leaf"}
}

func grouped(p *v1.Pod) {
	name := "g"
	p.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: &name}
}

func group() *schedulingapi.PodGroup {
	return &schedulingapi.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "g"},
		Spec: schedulingapi.PodGroupSpec{
			SchedulingPolicy: schedulingapi.PodGroupSchedulingPolicy{Gang: &schedulingapi.GangSchedulingPolicy{MinCount: 2}},
			SchedulingConstraints: &schedulingapi.PodGroupSchedulingConstraints{
				Topology: []schedulingapi.TopologyConstraint{{Key: levelPrefix + "leaf"}},
			},
		},
	}
}

// held returns a claim of a pod for a device of node n1.
func held(name, holder string, changes ...func(*resourceapi.DeviceRequestAllocationResult)) *resourceapi.ResourceClaim {
	result := resourceapi.DeviceRequestAllocationResult{Driver: "d", Pool: "n1", Device: "gpu-0"}
	for _, change := range changes {
		change(&result)
	}
	return &resourceapi.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Status: resourceapi.ResourceClaimStatus{
			ReservedFor: []resourceapi.ResourceClaimConsumerReference{{UID: types.UID(holder)}},
			Allocation: &resourceapi.AllocationResult{
				Devices: resourceapi.DeviceAllocationResult{Results: []resourceapi.DeviceRequestAllocationResult{result}},
				NodeSelector: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchFields: []v1.NodeSelectorRequirement{
					{Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{"n1"}},
				}}}},
			},
		},
	}
}

var strict = Rules{AllBound: true, NoDeletions: true, Labelled: true}

func TestProblems(t *testing.T) {
	admin := func(r *resourceapi.DeviceRequestAllocationResult) { r.AdminAccess = new(bool); *r.AdminAccess = true }
	for name, tc := range map[string]struct {
		rules   Rules
		objects []runtime.Object
		want    []string
	}{
		"no problem": {strict, []runtime.Object{
			group(), pod("a", "n1", grouped), pod("b", "n2", grouped), pod("c", "n1", labelled), pod("d", "n2", labelled), held("x", "a"),
		}, nil},
		"a pod without a node": {strict, []runtime.Object{pod("a", "")}, []string{"1 pods have no node, the first is ns/a"}},
		"a pod that may wait":  {Rules{}, []runtime.Object{pod("a", "")}, nil},
		"too much CPU": {strict, []runtime.Object{pod("a", "n1", cpu("1500m")), pod("b", "n1", cpu("501m"))},
			[]string{"node n1 has 2 cpu, its pods ask for 2.001"}},
		"CPU of a pod that ended": {strict, []runtime.Object{pod("a", "n1", cpu("1500m"), ended), pod("b", "n1", cpu("1500m"))}, nil},
		"too many pods": {strict, []runtime.Object{pod("a", "n1", cpu("0")), pod("b", "n1"), pod("c", "n1"), pod("d", "n1")},
			[]string{"node n1 has 3 pods, its pods ask for 4"}},
		"a node that does not exist": {strict, []runtime.Object{pod("a", "n9")}, []string{"node n9 does not exist and has 1 pods"}},
		"a PodGroup in two domains": {strict, []runtime.Object{group(), pod("a", "n1", grouped), pod("b", "n3", grouped)},
			[]string{"PodGroup ns/g must be in one domain of network.topology.nvidia.com/leaf, is in map[l1:1 l2:1]"}},
		"a PodGroup outside of all domains": {strict, []runtime.Object{group(), pod("a", "n4", grouped), pod("b", "n4", grouped)},
			[]string{"PodGroup ns/g must be in one domain of network.topology.nvidia.com/leaf, is in map[:2]"}},
		"a PodGroup below its minimum": {Rules{NoDeletions: true}, []runtime.Object{group(), pod("a", "n1", grouped), pod("b", "", grouped)},
			[]string{"PodGroup ns/g has 1 pods with a node, needs 2"}},
		"a PodGroup that lost a pod": {Rules{}, []runtime.Object{group(), pod("a", "n1", grouped)}, nil},
		"a PodGroup that waits":      {Rules{NoDeletions: true}, []runtime.Object{group(), pod("a", "", grouped), pod("b", "", grouped)}, nil},
		"a labelled gang in two domains": {strict, []runtime.Object{pod("a", "n1", labelled), pod("b", "n3", labelled)},
			[]string{"labelled gang ns/g must be in one domain of network.topology.nvidia.com/leaf, is in map[l1:1 l2:1]"}},
		"a label that the scheduler ignores": {Rules{AllBound: true, NoDeletions: true}, []runtime.Object{pod("a", "n1", labelled), pod("b", "n3", labelled)}, nil},
		"a device allocated twice": {strict, []runtime.Object{pod("a", "n1"), pod("b", "n1"), held("x", "a"), held("y", "b")},
			[]string{"device d/n1/gpu-0 is allocated to claims [ns/x ns/y]"}},
		"a device with admin access": {strict, []runtime.Object{pod("a", "n1"), pod("b", "n1"), held("x", "a"), held("y", "b", admin)}, nil},
		"a device of another node": {strict, []runtime.Object{pod("a", "n2"), held("x", "a")},
			[]string{"claim ns/x is held on node n2, where its devices are not"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(tc.rules)
			for _, object := range append(tc.objects, node("n1", "l1"), node("n2", "l1"), node("n3", "l2"), node("n4", "")) {
				if err := a.add(object); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, a.Problems()); diff != "" {
				t.Errorf("problems (-want,+got):\n%s", diff)
			}
		})
	}
}
