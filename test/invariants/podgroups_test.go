// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import "testing"

// podGroupSpec declares, changes or (with no spec) deletes a PodGroup of Kubernetes.
func (f *judgeFixture) podGroupSpec(name string, spec map[string]any) {
	f.declareObject("PodGroup", name, spec, f.podGroupChanged)
}

// composite declares or changes a CompositePodGroup of Kubernetes.
func (f *judgeFixture) composite(name, parent string, least int64) {
	f.declareObject("CompositePodGroup", name, in(parent, map[string]any{
		"schedulingPolicy": map[string]any{"gang": map[string]any{"minGroupCount": least}},
	}), f.compositeChanged)
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
	runJudgeCases(t, map[string]judgeCase{
		"a group bound whole is fine": {func(f *judgeFixture) {
			f.podGroupSpec("g", ofMinCount(3))
			f.bind("n1", f.members("a", 3, inPodGroup("g"))...)
			f.advance(pastGrace)
		}, nil},
		"half a group is reported": {func(f *judgeFixture) {
			f.podGroupSpec("g", ofMinCount(3))
			f.members("a", 3, inPodGroup("g"))
			f.bind("n1", "a-0", "a-1")
			f.advance(pastGrace)
		}, []string{"I1: gang scheduling.k8s.io PodGroup ml/g: bound below its minimum (member 2 of 3), 10.1s after its last binding"}},
		"a group without a minimum may start with one": {func(f *judgeFixture) {
			f.podGroupSpec("g", basic)
			f.members("a", 3, inPodGroup("g"))
			f.bind("n1", "a-0")
			f.advance(pastGrace)
		}, nil},
		"pods without their group must wait": {func(f *judgeFixture) {
			f.members("a", 2, inPodGroup("g"))
			f.bind("n1", "a-0")
			f.advance(pastGrace)
		}, []string{"I1: gang scheduling.k8s.io PodGroup ml/g: 1 pods are bound though there is no such PodGroup"}},
		"a minimum lowered in time makes it whole": {func(f *judgeFixture) {
			f.podGroupSpec("g", ofMinCount(3))
			f.members("a", 3, inPodGroup("g"))
			f.bind("n1", "a-0")
			f.podGroupSpec("g", ofMinCount(1))
			f.advance(pastGrace)
		}, nil},
		"a group that was whole may lose members": {func(f *judgeFixture) {
			f.podGroupSpec("g", ofMinCount(3))
			names := f.members("a", 3, inPodGroup("g"))
			f.bind("n1", names...)
			f.remove("a-0")
			f.advance(pastGrace)
		}, nil},
		"the group counts, not what else the pods say": {func(f *judgeFixture) {
			f.podGroupSpec("g", ofMinCount(2))
			f.coscheduling("g", map[string]any{"minMember": int64(9)})
			f.bind("n1", f.members("a", 2, inPodGroup("g"), inCoscheduling("g"))...)
			f.advance(pastGrace)
		}, nil},
	})
}

func TestAllOrNothingOfHierarchies(t *testing.T) {
	halves := func(f *judgeFixture) {
		f.composite("top", "", 2)
		f.composite("west", "top", 1)
		f.podGroupSpec("a", in("top", ofMinCount(2)))
		f.podGroupSpec("b", in("west", ofMinCount(2)))
		f.podGroupSpec("c", in("west", ofMinCount(2)))
		for _, name := range []string{"a", "b", "c"} {
			f.members(name, 2, inPodGroup(name))
		}
	}
	runJudgeCases(t, map[string]judgeCase{
		"one group of each level is enough": {func(f *judgeFixture) {
			halves(f)
			f.bind("n1", "a-0", "a-1", "c-0", "c-1")
			f.advance(pastGrace)
		}, nil},
		"a whole group of a hierarchy that needs two is reported": {func(f *judgeFixture) {
			halves(f)
			f.bind("n1", "b-0", "b-1")
			f.advance(5 * pastGrace)
		}, []string{"I1: gang CompositePodGroup ml/top: fewer than its minimum of 2 groups are bound, 10.1s after its last binding"}},
		"both groups of one half do not stand for the other": {func(f *judgeFixture) {
			halves(f)
			f.bind("n1", "b-0", "b-1", "c-0", "c-1")
			f.advance(pastGrace)
		}, []string{"I1: gang CompositePodGroup ml/top: fewer than its minimum of 2 groups are bound, 10.1s after its last binding"}},
		"a hierarchy that was whole may lose members": {func(f *judgeFixture) {
			halves(f)
			f.bind("n1", "a-0", "a-1", "c-0", "c-1")
			f.remove("a-0", "a-1")
			f.advance(pastGrace)
		}, nil},
		"one that held nothing must become whole anew": {func(f *judgeFixture) {
			halves(f)
			f.bind("n1", "a-0", "a-1", "c-0", "c-1")
			f.remove("a-0", "a-1", "c-0", "c-1")
			f.bind("n1", "b-0", "b-1")
			f.advance(pastGrace)
		}, []string{"I1: gang CompositePodGroup ml/top: fewer than its minimum of 2 groups are bound, 10.1s after its last binding"}},
		"a group of a hierarchy that does not exist is judged alone": {func(f *judgeFixture) {
			f.podGroupSpec("a", in("nothing", ofMinCount(2)))
			f.bind("n1", f.members("a", 2, inPodGroup("a"))...)
			f.advance(pastGrace)
		}, nil},
	})
}
