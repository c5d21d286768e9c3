// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// maxTerms is the maximum number of affinity, anti-affinity and spread terms of a gang
// that the planner gets. Only the stock filters judge further terms.
const maxTerms = 64

// podTerms has the terms of a gang's members about other pods: required pod anti-affinity
// that can match members, required pod affinity, and topology spread constraints that
// must be satisfied. index has, by the encoding of a term, its position in the list terms.
type podTerms struct {
	namespaces Namespaces
	terms      []podTerm
	index      map[string]int
	// held has the terms that a member has, as bits, by the member's signature (equal for
	// pods that ask the same of their node) and its labels that matchLabelKeys names.
	held map[heldKey]uint64
}

type heldKey struct {
	signature gangs.Signature
	labels    string
}

// podTerm is a term about other pods that the planner understands. It has one of three
// forms: away, near or even. A term of the first two forms names its namespaces, or has a
// selector that selects all namespaces.
type podTerm struct {
	// away is a required pod anti-affinity term.
	away *fwk.AffinityTerm
	// near has all required pod affinity terms of a pod. Another pod matches if it
	// matches all of them.
	near []fwk.AffinityTerm
	// even is a topology spread constraint. selector selects the pods that it counts: it
	// includes the pod's labels of matchLabelKeys. namespace is the only namespace whose pods
	// the constraint counts.
	even      *v1.TopologySpreadConstraint
	selector  labels.Selector
	namespace string
}

// matches reports whether a term selects a pod. A topology spread constraint with an
// empty selector counts no pods.
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

// readPodTerms reads the affinity, anti-affinity and spread terms of all members. Of
// equal members it reads one.
func readPodTerms(request *gangs.Request, namespaces Namespaces) *podTerms {
	t := &podTerms{namespaces: namespaces}
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

// hasTerms reports whether a pod has pod affinity, pod anti-affinity or topology spread
// constraints.
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

// heldBy returns the terms that a member has: bit i is podTerms.terms[i].
func (t *podTerms) heldBy(m *gangs.Member) uint64 {
	if len(t.terms) == 0 || !hasTerms(m.Pod) {
		return 0
	}
	return t.held[heldKeyOf(m)]
}

// matching returns the terms that select a pod: bit i is podTerms.terms[i].
func (t *podTerms) matching(pod *v1.Pod) uint64 {
	bits := uint64(0)
	for i := range t.terms {
		if t.terms[i].matches(pod) {
			bits |= 1 << i
		}
	}
	return bits
}

// read adds the terms that a pod has and returns them: bit i is podTerms.terms[i].
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

// antiAffinity adds a pod's required anti-affinity terms and returns their indices. It
// leaves out terms that match no pod of the pod's namespace, or that only the stock
// filters understand.
func (t *podTerms) antiAffinity(pod *v1.Pod) []int {
	required := fwk.GetPodAntiAffinityTerms(pod.Spec.Affinity)
	var found []int
	for i := range required {
		terms := t.resolved(pod, required[i:i+1])
		if len(terms) == 0 || !terms[0].NamespaceSelector.Empty() && !terms[0].Namespaces.Has(pod.Namespace) {
			continue
		}
		if at := t.add("away "+pod.Namespace, encode(required[i:i+1]), podTerm{away: &terms[0]}); at >= 0 {
			found = append(found, at)
		}
	}
	return found
}

// affinity adds a pod's required affinity terms, all as one entry of terms, and returns
// its index. It returns -1 if there are none or only the stock filters understand one.
func (t *podTerms) affinity(pod *v1.Pod) int {
	required := fwk.GetPodAffinityTerms(pod.Spec.Affinity)
	terms := t.resolved(pod, required)
	if len(terms) == 0 {
		return -1
	}
	return t.add("near "+pod.Namespace, encode(required), podTerm{near: terms})
}

// constraint adds a pod's topology spread constraint and returns its index. It returns -1
// for a constraint that is only a preference or that the planner does not get.
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

// spreadSelector returns the label selector of a topology spread constraint, together
// with the pod's values of the labels in matchLabelKeys, as the stock filter does.
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

// encode returns a text that is equal for equal terms. It returns "" for terms that
// cannot be encoded.
func encode(terms []v1.PodAffinityTerm) string {
	encoded, err := (&v1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}).Marshal()
	if err != nil {
		return ""
	}
	return string(encoded)
}

// add returns the index of a term, which it adds if it is new. It returns -1 if there are
// maxTerms terms already.
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

// resolved returns affinity terms of a pod with the names of the namespaces that they select by
// label, as the stock filter sees them. It returns none if a term cannot be resolved.
func (t *podTerms) resolved(pod *v1.Pod, terms []v1.PodAffinityTerm) []fwk.AffinityTerm {
	out, err := fwk.GetAffinityTerms(pod, terms)
	if err != nil {
		return nil
	}
	for i := range terms {
		if terms[i].NamespaceSelector == nil || out[i].NamespaceSelector.Empty() {
			continue // the term selects no further namespaces, or all
		}
		if t.namespaces == nil {
			return nil
		}
		selected, err := t.namespaces.List(out[i].NamespaceSelector)
		if err != nil {
			return nil
		}
		for _, namespace := range selected {
			out[i].Namespaces.Insert(namespace.Name)
		}
		out[i].NamespaceSelector = labels.Nothing()
	}
	return out
}
