// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// maxTerms is how many anti-affinity terms of a gang the planner knows. The stock filters
// judge the others.
const maxTerms = 64

// podTerms has the required pod anti-affinity terms of a gang's members that can match
// members.
type podTerms struct {
	terms []podTerm
	index map[string]int
	// bySignature has the terms of the members with one signature, as bits.
	bySignature map[gangs.Signature]uint64
}

// podTerm is a required pod anti-affinity term that the planner understands.
type podTerm struct {
	topologyKey string
	selector    labels.Selector
}

// readPodTerms reads the terms of all members, those of equal members once.
func readPodTerms(request *gangs.Request) *podTerms {
	t := &podTerms{}
	for i := range request.Members {
		m := &request.Members[i]
		if m.Pod.Spec.Affinity == nil || m.Pod.Spec.Affinity.PodAntiAffinity == nil {
			continue
		}
		if _, known := t.bySignature[m.Signature]; !known {
			t.read(m)
		}
	}
	return t
}

func (t *podTerms) read(m *gangs.Member) {
	if t.index == nil {
		t.index, t.bySignature = map[string]int{}, map[gangs.Signature]uint64{}
	}
	bits := uint64(0)
	required := m.Pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	for i := range required {
		if at := t.add(m.Pod.Namespace, &required[i]); at >= 0 {
			bits |= 1 << at
		}
	}
	t.bySignature[m.Signature] = bits
}

// add returns the index of a term, -1 for a term that matches no pod of the namespace or
// that only the stock filters understand.
func (t *podTerms) add(namespace string, term *v1.PodAffinityTerm) int {
	if !coversNamespace(namespace, term) {
		return -1
	}
	encoded, err := term.Marshal()
	if err != nil {
		return -1
	}
	if at, known := t.index[string(encoded)]; known {
		return at
	}
	selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
	if err != nil || len(t.terms) == maxTerms {
		return -1
	}
	at := len(t.terms)
	t.index[string(encoded)] = at
	t.terms = append(t.terms, podTerm{topologyKey: term.TopologyKey, selector: selector})
	return at
}

// coversNamespace reports whether a term is about pods of the namespace that it is
// written in. A namespace selector is understood only if it selects all namespaces.
func coversNamespace(namespace string, term *v1.PodAffinityTerm) bool {
	if s := term.NamespaceSelector; s != nil {
		return len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
	}
	return len(term.Namespaces) == 0 || slices.Contains(term.Namespaces, namespace)
}

// matching returns the terms that match a pod's labels, as bits.
func (t *podTerms) matching(pod *v1.Pod) uint64 {
	bits := uint64(0)
	for i := range t.terms {
		if t.terms[i].selector.Matches(labels.Set(pod.Labels)) {
			bits |= 1 << i
		}
	}
	return bits
}
