// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"encoding/binary"
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// runningTerms has the selectors of the required anti-affinity terms of pods on nodes. The
// terms keep members with matching labels away from the topology domains of these pods.
// Members of a role that differ in the selectors that match them may use different nodes.
type runningTerms struct {
	selectors []labels.Selector
	// keys are the labels that the selectors name, sorted.
	keys []string
	// known caches the results of matching, by the pod's values of keys. values is a
	// buffer for these.
	known  map[string]string
	values []byte
}

// readRunningTerms reads the terms of all pods on nodes. Pods of one controller usually have
// the same terms, so it reads one pod of each controller.
func readRunningTerms(nodes []fwk.NodeInfo) *runningTerms {
	t := &runningTerms{}
	var controllers sets.Set[types.UID]
	keys := sets.Set[string]{}
	for _, info := range nodes {
		for _, added := range info.GetPodsWithRequiredAntiAffinity() {
			if owner := metav1.GetControllerOfNoCopy(added.GetPod()); owner != nil {
				if controllers.Has(owner.UID) {
					continue
				}
				if controllers == nil {
					controllers = sets.New[types.UID]()
				}
				controllers.Insert(owner.UID)
			}
			t.add(added.GetRequiredAntiAffinityTerms(), keys)
		}
	}
	if len(t.selectors) > 0 {
		t.keys, t.known = sets.List(keys), map[string]string{}
	}
	return t
}

func (t *runningTerms) add(terms []fwk.AffinityTerm, keys sets.Set[string]) {
	for i := range terms {
		requirements, _ := terms[i].Selector.Requirements()
		if len(requirements) == 0 {
			continue // the selector matches all labels or none, so it tells no pods apart
		}
		t.selectors = append(t.selectors, terms[i].Selector)
		for j := range requirements {
			keys.Insert(requirements[j].Key())
		}
	}
}

// matching returns a text that is equal for pods whose labels the same selectors match.
func (t *runningTerms) matching(pod *v1.Pod) string {
	if len(t.selectors) == 0 {
		return ""
	}
	t.values = t.values[:0]
	for _, key := range t.keys {
		value, ok := pod.Labels[key]
		if !ok {
			t.values = append(t.values, 0)
			continue
		}
		t.values = append(binary.AppendUvarint(t.values, uint64(len(value)+1)), value...)
	}
	if found, ok := t.known[string(t.values)]; ok {
		return found
	}
	var found []byte
	for i, selector := range t.selectors {
		if selector.Matches(labels.Set(pod.Labels)) {
			found = binary.AppendUvarint(found, uint64(i))
		}
	}
	t.known[string(slices.Clone(t.values))] = string(found)
	return string(found)
}
