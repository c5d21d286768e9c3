// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import "testing"

// podGroupSpec declares, changes or (with no spec) deletes a PodGroup of Kubernetes.
func (c *judgeFixture) podGroupSpec(name string, spec map[string]any) {
	c.declareObject("native PodGroup", name, spec, c.podGroupChanged)
}

// composite declares or changes a CompositePodGroup of Kubernetes.
func (c *judgeFixture) composite(name, parent string, least int64) {
	c.declareObject("CompositePodGroup", name, in(parent, map[string]any{
		"schedulingPolicy": map[string]any{"gang": map[string]any{"minGroupCount": least}},
	}), c.compositeChanged)
}

// in puts what a spec says below a CompositePodGroup.
func in(parent string, spec map[string]any) map[string]any {
	if parent != "" {
		spec["parentCompositePodGroupName"] = parent
	}
	return spec
}

func ofMinCount(n int64) map[string]any {
	return map[string]any{"schedulingPolicy": map[string]any{"gang": map[string]any{"minCount": n}}}
}

func TestAllOrNothingOfPodGroups(t *testing.T) {
	basic := map[string]any{"schedulingPolicy": map[string]any{"basic": map[string]any{}}}
	try(t, map[string]trial{
		"a group bound whole is fine": {func(c *judgeFixture) {
			c.podGroupSpec("g", ofMinCount(3))
			c.bind("n1", c.members("a", 3, inPodGroup("g"))...)
			c.pass(patience)
		}, nil},
		"half a group is reported": {func(c *judgeFixture) {
			c.podGroupSpec("g", ofMinCount(3))
			c.members("a", 3, inPodGroup("g"))
			c.bind("n1", "a-0", "a-1")
			c.pass(patience)
		}, []string{"I1: gang scheduling.k8s.io PodGroup ml/g: bound below its minimum (member 2 of 3), 10.1s after its last binding"}},
		"a group without a minimum may start with one": {func(c *judgeFixture) {
			c.podGroupSpec("g", basic)
			c.members("a", 3, inPodGroup("g"))
			c.bind("n1", "a-0")
			c.pass(patience)
		}, nil},
		"pods without their group must wait": {func(c *judgeFixture) {
			c.members("a", 2, inPodGroup("g"))
			c.bind("n1", "a-0")
			c.pass(patience)
		}, []string{"I1: gang scheduling.k8s.io PodGroup ml/g: 1 pods are bound though there is no such PodGroup"}},
		"a minimum lowered in time makes it whole": {func(c *judgeFixture) {
			c.podGroupSpec("g", ofMinCount(3))
			c.members("a", 3, inPodGroup("g"))
			c.bind("n1", "a-0")
			c.podGroupSpec("g", ofMinCount(1))
			c.pass(patience)
		}, nil},
		"a group that was whole may lose members": {func(c *judgeFixture) {
			c.podGroupSpec("g", ofMinCount(3))
			names := c.members("a", 3, inPodGroup("g"))
			c.bind("n1", names...)
			c.remove("a-0")
			c.pass(patience)
		}, nil},
		"the group counts, not what else the pods say": {func(c *judgeFixture) {
			c.podGroupSpec("g", ofMinCount(2))
			c.coschedulingGroup("g", map[string]any{"minMember": int64(9)})
			c.bind("n1", c.members("a", 2, inPodGroup("g"), inCoschedulingGroup("g"))...)
			c.pass(patience)
		}, nil},
	})
}

func TestAllOrNothingOfHierarchies(t *testing.T) {
	halves := func(c *judgeFixture) {
		c.composite("top", "", 2)
		c.composite("west", "top", 1)
		c.podGroupSpec("a", in("top", ofMinCount(2)))
		c.podGroupSpec("b", in("west", ofMinCount(2)))
		c.podGroupSpec("c", in("west", ofMinCount(2)))
		for _, name := range []string{"a", "b", "c"} {
			c.members(name, 2, inPodGroup(name))
		}
	}
	try(t, map[string]trial{
		"one group of each level is enough": {func(c *judgeFixture) {
			halves(c)
			c.bind("n1", "a-0", "a-1", "c-0", "c-1")
			c.pass(patience)
		}, nil},
		"a whole group of a hierarchy that needs two is reported": {func(c *judgeFixture) {
			halves(c)
			c.bind("n1", "b-0", "b-1")
			c.pass(5 * patience)
		}, []string{"I1: gang CompositePodGroup ml/top: fewer than its minimum of 2 groups are bound, 10.1s after its last binding"}},
		"both groups of one half do not stand for the other": {func(c *judgeFixture) {
			halves(c)
			c.bind("n1", "b-0", "b-1", "c-0", "c-1")
			c.pass(patience)
		}, []string{"I1: gang CompositePodGroup ml/top: fewer than its minimum of 2 groups are bound, 10.1s after its last binding"}},
		"a hierarchy that was whole may lose members": {func(c *judgeFixture) {
			halves(c)
			c.bind("n1", "a-0", "a-1", "c-0", "c-1")
			c.remove("a-0", "a-1")
			c.pass(patience)
		}, nil},
		"one that held nothing must become whole anew": {func(c *judgeFixture) {
			halves(c)
			c.bind("n1", "a-0", "a-1", "c-0", "c-1")
			c.remove("a-0", "a-1", "c-0", "c-1")
			c.bind("n1", "b-0", "b-1")
			c.pass(patience)
		}, []string{"I1: gang CompositePodGroup ml/top: fewer than its minimum of 2 groups are bound, 10.1s after its last binding"}},
		"a group of a hierarchy that does not exist is judged alone": {func(c *judgeFixture) {
			c.podGroupSpec("a", in("nothing", ofMinCount(2)))
			c.bind("n1", c.members("a", 2, inPodGroup("a"))...)
			c.pass(patience)
		}, nil},
	})
}
