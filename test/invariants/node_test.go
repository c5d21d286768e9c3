// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestNodesAreNotOvercommitted(t *testing.T) {
	asks := func(cpu string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.Containers[0].Resources.Requests["cpu"] = resource.MustParse(cpu)
		}
	}
	runJudgeCases(t, map[string]judgeCase{
		"full is not over-full": {func(f *judgeFixture) {
			f.pod("a", asks("4"))
			f.pod("b", asks("6"))
			f.bind("n1", "a", "b")
			f.advance(pastGrace)
		}, nil},
		"one CPU too many": {func(f *judgeFixture) {
			f.pod("a", asks("4"))
			f.pod("b", asks("6500m"))
			f.bind("n1", "a", "b")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/b was bound to n1, which is over-committed: 10500m of 10 cpu"}},
		"init containers and overhead count": {func(f *judgeFixture) {
			f.pod("a", asks("1"), func(p *v1.Pod) {
				p.Spec.InitContainers = []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{"cpu": resource.MustParse("9")}}}}
				p.Spec.Overhead = v1.ResourceList{"cpu": resource.MustParse("2")}
			})
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1, which is over-committed: 11 of 10 cpu"}},
		"one pod too many": {func(f *judgeFixture) {
			f.bind("n1", f.members("a", 6)...)
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a-5 was bound to n1, which is over-committed: 6 pods of 5"}},
		"room of a finished pod is free": {func(f *judgeFixture) {
			f.pod("a", asks("8"))
			f.pod("b", asks("8"))
			f.bind("n1", "a")
			f.edit(phase(v1.PodSucceeded), "a")
			f.bind("n1", "b")
			f.advance(pastGrace)
		}, nil},
		"a node that shrank a moment ago is no fault": {func(f *judgeFixture) {
			f.pod("a", asks("8"))
			f.node("n1", func(n *v1.Node) { n.Status.Allocatable["cpu"] = resource.MustParse("2") })
			f.advance(time.Second)
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
		"an extended resource that a claim gives is not asked of the node": {func(f *judgeFixture) {
			f.pod("a", func(p *v1.Pod) {
				p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse("2")
				p.Status.ExtendedResourceClaimStatus = &v1.PodExtendedResourceClaimStatus{
					ResourceClaimName: "special",
					RequestMappings:   []v1.ContainerExtendedResourceRequest{{ContainerName: "main", ResourceName: "example.com/gpu", RequestName: "gpu"}},
				}
			})
			f.claim("special", "a", "n1", "gpu-0", "gpu-1")
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
		"an extended resource that nobody gives": {func(f *judgeFixture) {
			f.pod("a", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse("2") })
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1, which is over-committed: 2 of 0 example.com/gpu"}},
	})
}

func TestNodesTakeTheirPods(t *testing.T) {
	tainted := func(n *v1.Node) {
		n.Spec.Taints = []v1.Taint{{Key: "gpu", Value: "only", Effect: v1.TaintEffectNoSchedule}}
	}
	runJudgeCases(t, map[string]judgeCase{
		"a node that does not exist": {func(f *judgeFixture) {
			f.pod("a")
			f.bind("n9", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n9, which does not exist"}},
		"a node that went away a moment ago is no fault": {func(f *judgeFixture) {
			f.pod("a")
			f.nodeChanged(f.nodeBy["n1"], nil, f.now)
			f.advance(time.Second)
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
		"a node whose event comes late is no fault": {func(f *judgeFixture) {
			f.pod("a")
			f.bind("n9", "a")
			f.advance(time.Second)
			f.node("n9")
			f.advance(pastGrace)
		}, nil},
		"a nodeSelector that does not match": {func(f *judgeFixture) {
			f.pod("a", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"shape": "large"} })
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1, which does not match the pod's nodeSelector and required node affinity"}},
		"a taint that is not tolerated": {func(f *judgeFixture) {
			f.node("n1", tainted)
			f.advance(pastGrace)
			f.pod("a")
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1, which has the taint gpu=only:NoSchedule that the pod does not tolerate"}},
		"a taint that is tolerated": {func(f *judgeFixture) {
			f.node("n1", tainted)
			f.advance(pastGrace)
			f.pod("a", func(p *v1.Pod) { p.Spec.Tolerations = []v1.Toleration{{Key: "gpu", Operator: v1.TolerationOpExists}} })
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
		"a cordoned node": {func(f *judgeFixture) {
			f.node("n1", func(n *v1.Node) { n.Spec.Unschedulable = true })
			f.advance(pastGrace)
			f.pod("a")
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1, which has the taint node.kubernetes.io/unschedulable:NoSchedule that the pod does not tolerate"}},
		"a pod made on its node was never scheduled": {func(f *judgeFixture) {
			f.pod("a", func(p *v1.Pod) { p.Spec.NodeName = "n9" })
			f.advance(pastGrace)
		}, nil},
	})
}
