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

const fromComposite source = "CompositePodGroup"

// composite is what a CompositePodGroup says now.
type composite struct {
	// parent is the one that it is in, "" for none.
	parent string
	// least is how many groups it needs.
	least int64
	ended bool
}

// tree is what is remembered of a hierarchy, by its root.
type tree struct {
	wasWhole, accused bool
}

// compositeChanged takes in an add, update or delete of a CompositePodGroup.
func (j *judge) compositeChanged(was, is *unstructured.Unstructured, _ time.Time) {
	if is == nil {
		key := compositeKey(was)
		before := j.composites[key]
		before.ended = true
		j.composites[key] = before
		return
	}
	seen := composite{least: 1, parent: parentOf(is), ended: is.GetDeletionTimestamp() != nil}
	if gang, found, _ := unstructured.NestedMap(is.Object, "spec", "schedulingPolicy", "gang"); found {
		seen.least = number(gang, "minGroupCount", 1)
	}
	j.composites[compositeKey(is)] = seen
	j.noteTrees()
}

func compositeKey(u *unstructured.Unstructured) gangKey {
	return gangKey{source: fromComposite, namespace: u.GetNamespace(), name: u.GetName()}
}

func parentOf(u *unstructured.Unstructured) string {
	name, _, _ := unstructured.NestedString(u.Object, "spec", "parentCompositePodGroupName")
	return name
}

// rootOf is the topmost CompositePodGroup above a PodGroup; false if it is in none, or
// one of them is not known or on its way out.
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
	for child, composite := range j.composites {
		if child.namespace == key.namespace && composite.parent == key.name && j.treeMet(child) {
			met++
		}
	}
	for child, declared := range j.declarations {
		if child.source != fromPodGroup || child.namespace != key.namespace || declared.parent != key.name {
			continue
		}
		// Without a minimum of its own one member is enough, and needed.
		if g := j.gangs[child]; g != nil && len(g.placed()) > 0 && declared.least.metBy(g.placed()) {
			met++
		}
	}
	return met >= j.composites[key].least
}
