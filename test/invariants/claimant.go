// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	v1 "k8s.io/api/core/v1"
)

// jobSetLabel names the JobSet of a pod. A JobSet is not judged by I1 (no gang stays bound below
// its minimum), so the checker has no gang for it.
const jobSetLabel = "jobset.sigs.k8s.io/jobset-name"

// gangsOf returns the gangs with the name of a preemptor. A CompositePodGroup has those of the
// PodGroups below it.
func (j *judge) gangsOf(p preemptor) []*gang {
	var found []*gang
	for key, g := range j.gangs {
		root, nested := j.rootOf(key)
		named := key.namespace == p.namespace && key.name == p.name
		if named || nested && root.namespace == p.namespace && root.name == p.name {
			found = append(found, g)
		}
	}
	return found
}

// isMember reports whether the pod is the preemptor or one of its members.
func (j *judge) isMember(p preemptor, pod *v1.Pod) bool {
	if pod.Namespace != p.namespace {
		return false
	}
	if p.kind == "pod" {
		return pod.Name == p.name
	}
	if key, _, ok := membership(pod); ok {
		root, nested := j.rootOf(key)
		return key.name == p.name || nested && root.name == p.name
	}
	return pod.Labels[jobSetLabel] == p.name
}

// membersOf returns the active pods of a preemptor.
func (j *judge) membersOf(p preemptor) []*v1.Pod {
	var found []*v1.Pod
	for _, pod := range j.pods {
		if isActive(pod) && j.isMember(p, pod) {
			found = append(found, pod)
		}
	}
	return found
}

// mayStart reports whether the preemptor is still there to be placed: the pod is active, or the
// gang has enough active members for its minimum and its object is neither deleted nor suspended.
// It returns false for a gang whose minimum the checker does not know.
func (j *judge) mayStart(p preemptor) bool {
	active := j.membersOf(p)
	if len(active) == 0 {
		return false
	}
	gangs := j.gangsOf(p)
	if p.kind == "pod" || len(gangs) == 0 {
		return true // a single pod, or a JobSet
	}
	for _, g := range gangs {
		if _, nested := j.rootOf(g.key); nested {
			return true
		}
		declared, known := j.declaration(g)
		if known && !declared.ended && declared.least.metBy(g.count(func(m *member) bool { return isActive(m.pod) })) {
			return true
		}
	}
	return false
}

// count returns the number of those members of each role for which counts returns true.
func (g *gang) count(counts func(*member) bool) quorum {
	count := quorum{}
	for _, m := range g.members {
		if counts(m) {
			count[m.role]++
		}
	}
	return count
}

// placedSince reports whether the preemptor was placed after the clearing began: the pod has a
// node, or a member got a node and the gang has its minimum.
func (j *judge) placedSince(c *clearing) bool {
	if !c.bound || c.preemptor.kind == "pod" {
		return c.bound
	}
	gangs := j.gangsOf(c.preemptor)
	if len(gangs) == 0 {
		return true // a JobSet
	}
	for _, g := range gangs {
		if root, nested := j.rootOf(g.key); nested {
			if h := j.hierarchies[root]; h != nil && h.quorumMet {
				return true
			}
		} else if g.quorumMet {
			return true
		}
	}
	return false
}
