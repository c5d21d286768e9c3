// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func compositeKey(u *unstructured.Unstructured) gangKey {
	return gangKey{source: fromComposite, namespace: u.GetNamespace(), name: u.GetName()}
}

// rootOf returns the topmost CompositePodGroup above a PodGroup. It returns false if
// there is none, or if a CompositePodGroup on the way is unknown or being deleted.
func (j *judge) rootOf(key gangKey) (gangKey, bool) {
	parent := j.declarations[key].parent
	for seen := 0; parent != "" && seen <= len(j.composites); seen++ {
		key = gangKey{source: fromComposite, namespace: key.namespace, name: parent}
		group, known := j.composites[key]
		if !known || group.ended {
			return gangKey{}, false
		}
		parent = group.parent
	}
	return key, key.source == fromComposite
}

// gangsByRoot returns, for the root of each hierarchy, the PodGroups that have pods.
func (j *judge) gangsByRoot() map[gangKey][]*gang {
	below := map[gangKey][]*gang{}
	if len(j.composites) == 0 {
		return below
	}
	for key, g := range j.gangs {
		if root, ok := j.rootOf(key); ok {
			below[root] = append(below[root], g)
		}
	}
	return below
}

// recordHierarchies records which hierarchies (trees of CompositePodGroups) met their minimum.
// It resets the record of a hierarchy that holds no node.
func (j *judge) recordHierarchies() {
	for root, gangs := range j.gangsByRoot() {
		t := j.hierarchies[root]
		if t == nil {
			t = &hierarchy{}
			j.hierarchies[root] = t
		}
		switch {
		case !slices.ContainsFunc(gangs, func(g *gang) bool { return g.holding() > 0 }):
			*t = hierarchy{}
		case j.hierarchyMet(root):
			*t = hierarchy{quorumMet: true}
		}
	}
}

// judgeHierarchies checks I1 for hierarchies: they do not stay bound below their minimum of
// groups.
func (j *judge) judgeHierarchies(now time.Time) {
	for root, gangs := range j.gangsByRoot() {
		t := j.hierarchies[root]
		if t == nil || t.quorumMet || t.reported {
			continue
		}
		last, holding := time.Time{}, 0
		for _, g := range gangs {
			holding += g.holding()
			if g.lastBind.After(last) {
				last = g.lastBind
			}
		}
		if holding == 0 || j.uptime(last, now) <= j.grace {
			continue
		}
		t.reported = true
		evidence := []string(nil)
		for _, g := range gangs {
			for _, line := range g.evidence() {
				evidence = append(evidence, g.key.name+": "+line)
			}
		}
		slices.Sort(evidence)
		j.report(AllOrNothing, now, fmt.Sprintf("gang %s: fewer than its minimum of %d groups are bound, %s after its last binding",
			root, j.composites[root].least, elapsed(now.Sub(last))), evidence)
	}
}

// hierarchyMet reports whether enough groups of a CompositePodGroup meet their minimum.
func (j *judge) hierarchyMet(key gangKey) bool {
	met := int64(0)
	for child, group := range j.composites {
		if child.namespace == key.namespace && group.parent == key.name && j.hierarchyMet(child) {
			met++
		}
	}
	for child, declared := range j.declarations {
		if child.source != fromPodGroup || child.namespace != key.namespace || declared.parent != key.name {
			continue
		}
		// A PodGroup without a minimum counts once it has one placed member.
		if g := j.gangs[child]; g != nil && len(g.placed()) > 0 && declared.least.metBy(g.placed()) {
			met++
		}
	}
	return met >= j.composites[key].least
}
