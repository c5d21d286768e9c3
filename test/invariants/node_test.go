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
	try(t, map[string]trial{
		"full is not over-full": {func(c *judgeFixture) {
			c.pod("a", asks("4"))
			c.pod("b", asks("6"))
			c.bind("n1", "a", "b")
			c.pass(patience)
		}, nil},
		"one CPU too many": {func(c *judgeFixture) {
			c.pod("a", asks("4"))
			c.pod("b", asks("6500m"))
			c.bind("n1", "a", "b")
			c.pass(patience)
		}, []string{"I2: pod ml/b was bound to n1, which is over-committed: 10500m of 10 cpu"}},
		"init containers and overhead count": {func(c *judgeFixture) {
			c.pod("a", asks("1"), func(p *v1.Pod) {
				p.Spec.InitContainers = []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{"cpu": resource.MustParse("9")}}}}
				p.Spec.Overhead = v1.ResourceList{"cpu": resource.MustParse("2")}
			})
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1, which is over-committed: 11 of 10 cpu"}},
		"one pod too many": {func(c *judgeFixture) {
			c.bind("n1", c.members("a", 6)...)
			c.pass(patience)
		}, []string{"I2: pod ml/a-5 was bound to n1, which is over-committed: 6 pods of 5"}},
		"room of a finished pod is free": {func(c *judgeFixture) {
			c.pod("a", asks("8"))
			c.pod("b", asks("8"))
			c.bind("n1", "a")
			c.edit(phase(v1.PodSucceeded), "a")
			c.bind("n1", "b")
			c.pass(patience)
		}, nil},
		"a node that shrank a moment ago is no fault": {func(c *judgeFixture) {
			c.pod("a", asks("8"))
			c.node("n1", func(n *v1.Node) { n.Status.Allocatable["cpu"] = resource.MustParse("2") })
			c.pass(time.Second)
			c.bind("n1", "a")
			c.pass(patience)
		}, nil},
		"an extended resource that a claim gives is not asked of the node": {func(c *judgeFixture) {
			c.pod("a", func(p *v1.Pod) {
				p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse("2")
				p.Status.ExtendedResourceClaimStatus = &v1.PodExtendedResourceClaimStatus{
					ResourceClaimName: "special",
					RequestMappings:   []v1.ContainerExtendedResourceRequest{{ContainerName: "main", ResourceName: "example.com/gpu", RequestName: "gpu"}},
				}
			})
			c.claim("special", "a", "n1", "gpu-0", "gpu-1")
			c.bind("n1", "a")
			c.pass(patience)
		}, nil},
		"an extended resource that nobody gives": {func(c *judgeFixture) {
			c.pod("a", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse("2") })
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1, which is over-committed: 2 of 0 example.com/gpu"}},
	})
}

func TestNodesTakeTheirPods(t *testing.T) {
	tainted := func(n *v1.Node) {
		n.Spec.Taints = []v1.Taint{{Key: "gpu", Value: "only", Effect: v1.TaintEffectNoSchedule}}
	}
	try(t, map[string]trial{
		"a node that does not exist": {func(c *judgeFixture) {
			c.pod("a")
			c.bind("n9", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n9, which does not exist"}},
		"a node that went away a moment ago is no fault": {func(c *judgeFixture) {
			c.pod("a")
			c.nodeChanged(c.nodeBy["n1"], nil, c.now)
			c.pass(time.Second)
			c.bind("n1", "a")
			c.pass(patience)
		}, nil},
		"a node whose event comes late is no fault": {func(c *judgeFixture) {
			c.pod("a")
			c.bind("n9", "a")
			c.pass(time.Second)
			c.node("n9")
			c.pass(patience)
		}, nil},
		"a nodeSelector that does not match": {func(c *judgeFixture) {
			c.pod("a", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"shape": "large"} })
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1, which does not match the pod's nodeSelector and required node affinity"}},
		"a taint that is not tolerated": {func(c *judgeFixture) {
			c.node("n1", tainted)
			c.pass(patience)
			c.pod("a")
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1, which has the taint gpu=only:NoSchedule that the pod does not tolerate"}},
		"a taint that is tolerated": {func(c *judgeFixture) {
			c.node("n1", tainted)
			c.pass(patience)
			c.pod("a", func(p *v1.Pod) { p.Spec.Tolerations = []v1.Toleration{{Key: "gpu", Operator: v1.TolerationOpExists}} })
			c.bind("n1", "a")
			c.pass(patience)
		}, nil},
		"a cordoned node": {func(c *judgeFixture) {
			c.node("n1", func(n *v1.Node) { n.Spec.Unschedulable = true })
			c.pass(patience)
			c.pod("a")
			c.bind("n1", "a")
			c.pass(patience)
		}, []string{"I2: pod ml/a was bound to n1, which has the taint node.kubernetes.io/unschedulable:NoSchedule that the pod does not tolerate"}},
		"a pod made on its node was never scheduled": {func(c *judgeFixture) {
			c.pod("a", func(p *v1.Pod) { p.Spec.NodeName = "n9" })
			c.pass(patience)
		}, nil},
	})
}
