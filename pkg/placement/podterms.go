// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// maxTerms is how many terms of a gang the planner knows. The stock filters judge the
// others.
const maxTerms = 64

// podTerms has what a gang's members ask of where other pods are: required pod
// anti-affinity that can match members, required pod affinity, and topology spread
// constraints that must be satisfied.
type podTerms struct {
	terms []podTerm
	index map[string]int
	// held has the terms of the members with one signature and the same labels in
	// matchLabelKeys, as bits.
	held map[heldKey]uint64
}

type heldKey struct {
	signature gangs.Signature
	labels    string
}

// podTerm is one term that the planner understands. It has one of three forms.
type podTerm struct {
	// away is a required pod anti-affinity term.
	away *fwk.AffinityTerm
	// near are all required pod affinity terms of a pod: a pod matches if it matches all.
	near []fwk.AffinityTerm
	// even is a topology spread constraint, with its selector for the labels of the pod, for
	// pods of the namespace.
	even      *v1.TopologySpreadConstraint
	selector  labels.Selector
	namespace string
}

// matches reports whether the term is about a pod. A constraint with an empty selector
// counts no pods.
func (t *podTerm) matches(pod *v1.Pod) bool {
	switch {
	case t.away != nil:
		return t.away.Matches(pod, nil)
	case t.even != nil:
		return pod.Namespace == t.namespace && !t.selector.Empty() && t.selector.Matches(labels.Set(pod.Labels))
	}
	for i := range t.near {
		if !t.near[i].Matches(pod, nil) {
			return false
		}
	}
	return true
}

// readPodTerms reads the terms of all members, those of equal members once.
func readPodTerms(request *gangs.Request) *podTerms {
	t := &podTerms{}
	for i := range request.Members {
		m := &request.Members[i]
		if !hasTerms(m.Pod) {
			continue
		}
		if t.index == nil {
			t.index, t.held = map[string]int{}, map[heldKey]uint64{}
		}
		key := heldKeyOf(m)
		if _, known := t.held[key]; !known {
			t.held[key] = t.read(m.Pod)
		}
	}
	return t
}

// hasTerms reports whether a pod may have terms.
func hasTerms(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	return len(pod.Spec.TopologySpreadConstraints) > 0 ||
		affinity != nil && (affinity.PodAffinity != nil || affinity.PodAntiAffinity != nil)
}

func heldKeyOf(m *gangs.Member) heldKey {
	key := heldKey{signature: m.Signature}
	for i := range m.Pod.Spec.TopologySpreadConstraints {
		for _, label := range m.Pod.Spec.TopologySpreadConstraints[i].MatchLabelKeys {
			key.labels += label + "=" + m.Pod.Labels[label] + ","
		}
	}
	return key
}

// heldBy returns the terms of a member, as bits.
func (t *podTerms) heldBy(m *gangs.Member) uint64 {
	if len(t.terms) == 0 || !hasTerms(m.Pod) {
		return 0
	}
	return t.held[heldKeyOf(m)]
}

// matching returns the terms that match a pod, as bits.
func (t *podTerms) matching(pod *v1.Pod) uint64 {
	bits := uint64(0)
	for i := range t.terms {
		if t.terms[i].matches(pod) {
			bits |= 1 << i
		}
	}
	return bits
}

// read returns the terms of a pod, as bits.
func (t *podTerms) read(pod *v1.Pod) uint64 {
	bits := uint64(0)
	for _, i := range t.antiAffinity(pod) {
		bits |= 1 << i
	}
	if i := t.affinity(pod); i >= 0 {
		bits |= 1 << i
	}
	for j := range pod.Spec.TopologySpreadConstraints {
		if i := t.constraint(pod, &pod.Spec.TopologySpreadConstraints[j]); i >= 0 {
			bits |= 1 << i
		}
	}
	return bits
}

// antiAffinity returns the indices of a pod's required anti-affinity terms, without those
// that match no pod of the namespace or that only the stock filters understand.
func (t *podTerms) antiAffinity(pod *v1.Pod) []int {
	required := fwk.GetPodAntiAffinityTerms(pod.Spec.Affinity)
	var found []int
	for i := range required {
		if !coversNamespace(pod.Namespace, &required[i]) {
			continue
		}
		terms, err := fwk.GetAffinityTerms(pod, required[i:i+1])
		if err != nil {
			continue
		}
		if at := t.add("away "+pod.Namespace, encode(required[i:i+1]), podTerm{away: &terms[0]}); at >= 0 {
			found = append(found, at)
		}
	}
	return found
}

// affinity returns the index of a pod's required affinity terms, -1 if it has none or if
// only the stock filters understand one of them.
func (t *podTerms) affinity(pod *v1.Pod) int {
	required := fwk.GetPodAffinityTerms(pod.Spec.Affinity)
	if len(required) == 0 || slices.ContainsFunc(required, func(term v1.PodAffinityTerm) bool { return !understood(&term) }) {
		return -1
	}
	terms, err := fwk.GetAffinityTerms(pod, required)
	if err != nil {
		return -1
	}
	return t.add("near "+pod.Namespace, encode(required), podTerm{near: terms})
}

// constraint returns the index of a pod's topology spread constraint, -1 for one that need
// not be satisfied.
func (t *podTerms) constraint(pod *v1.Pod, constraint *v1.TopologySpreadConstraint) int {
	if constraint.WhenUnsatisfiable != v1.DoNotSchedule {
		return -1
	}
	selector, err := spreadSelector(pod, constraint)
	if err != nil {
		return -1
	}
	encoded, err := constraint.Marshal()
	if err != nil {
		return -1
	}
	term := podTerm{even: constraint, selector: selector, namespace: pod.Namespace}
	return t.add("even "+pod.Namespace, selector.String()+"\x00"+string(encoded), term)
}

// spreadSelector returns the selector of a constraint with the pod's labels of
// matchLabelKeys, as the stock filter does.
func spreadSelector(pod *v1.Pod, constraint *v1.TopologySpreadConstraint) (labels.Selector, error) {
	selector, err := metav1.LabelSelectorAsSelector(constraint.LabelSelector)
	if err != nil {
		return nil, err
	}
	requirements, selectable := selector.Requirements()
	same := labels.Set{}
	for _, key := range constraint.MatchLabelKeys {
		if value, ok := pod.Labels[key]; ok {
			same[key] = value
		}
	}
	if len(same) == 0 || !selectable {
		return selector, nil
	}
	return labels.SelectorFromSet(same).Add(requirements...), nil
}

// encode identifies terms. It returns "" for terms that cannot be encoded.
func encode(terms []v1.PodAffinityTerm) string {
	encoded, err := (&v1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}).Marshal()
	if err != nil {
		return ""
	}
	return string(encoded)
}

// add returns the index of a term, -1 if there are too many.
func (t *podTerms) add(kind, encoded string, term podTerm) int {
	key := kind + "\x00" + encoded
	if at, known := t.index[key]; known {
		return at
	}
	if len(t.terms) == maxTerms {
		return -1
	}
	at := len(t.terms)
	t.index[key] = at
	t.terms = append(t.terms, term)
	return at
}

// understood reports whether a term needs no labels of namespaces: it has no namespace
// selector, or one that selects all.
func understood(term *v1.PodAffinityTerm) bool {
	s := term.NamespaceSelector
	return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// coversNamespace reports whether an understood term is about pods of the namespace that it
// is written in.
func coversNamespace(namespace string, term *v1.PodAffinityTerm) bool {
	return understood(term) &&
		(term.NamespaceSelector != nil || len(term.Namespaces) == 0 || slices.Contains(term.Namespaces, namespace))
}
