// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A CompositePodGroup of Kubernetes is a gang of gangs: so many of the groups directly
// in it stand together, or nothing does.

func compositeKey(u *unstructured.Unstructured) gangKey {
	return gangKey{source: fromComposite, namespace: u.GetNamespace(), name: u.GetName()}
}

// rootOf is the topmost CompositePodGroup above a PodGroup; false if it is in none, or
// one of them is not known or on its way out.
func (j *judge) rootOf(key gangKey) (gangKey, bool) {
	parent := j.declarations[key].parent
	for seen := 0; parent != "" && seen <= len(j.composites); seen++ {
		key = gangKey{source: fromComposite, namespace: key.namespace, name: parent}
		one, known := j.composites[key]
		if !known || one.ended {
			return gangKey{}, false
		}
		parent = one.parent
	}
	return key, key.source == fromComposite
}

// leaves are the PodGroups with pods of each hierarchy.
func (j *judge) leaves() map[gangKey][]*gang {
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

// noteTrees remembers which hierarchies met their minimum, as noteWhole does.
func (j *judge) noteTrees() {
	for root, gangs := range j.leaves() {
		t := j.trees[root]
		if t == nil {
			t = &tree{}
			j.trees[root] = t
		}
		switch {
		case !slices.ContainsFunc(gangs, func(g *gang) bool { return g.holding() > 0 }):
			*t = tree{}
		case j.treeMet(root):
			*t = tree{wasWhole: true}
		}
	}
}

// judgeTrees is I1 for hierarchies.
func (j *judge) judgeTrees(now time.Time) {
	for root, gangs := range j.leaves() {
		t := j.trees[root]
		if t == nil || t.wasWhole || t.accused {
			continue
		}
		last, holding := time.Time{}, 0
		for _, g := range gangs {
			holding += g.holding()
			if g.lastBind.After(last) {
				last = g.lastBind
			}
		}
		if holding == 0 || now.Sub(last) <= j.grace {
			continue
		}
		t.accused = true
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

// treeMet says whether enough of what is in a CompositePodGroup stands.
func (j *judge) treeMet(key gangKey) bool {
	met := int64(0)
	for child, one := range j.composites {
		if child.namespace == key.namespace && one.parent == key.name && j.treeMet(child) {
			met++
		}
	}
	for child, declared := range j.declarations {
		if child.source != fromNativeGroup || child.namespace != key.namespace || declared.parent != key.name {
			continue
		}
		// Without a minimum of its own one member is enough, and needed.
		if g := j.gangs[child]; g != nil && len(g.placed()) > 0 && declared.least.metBy(g.placed()) {
			met++
		}
	}
	return met >= j.composites[key].least
}
