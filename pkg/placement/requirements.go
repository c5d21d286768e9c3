// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	fwk "k8s.io/kube-scheduler/framework"
)

// requirement is one condition of a pod's node selector or required node affinity. A node
// must meet all requirements of the pod.
type requirement struct {
	// field is "node selector" or "node affinity", and text describes the requirement.
	field, text string
	met         func(*v1.Node) bool
	// alternatives is true if text describes several node selector terms, one of which
	// must match.
	alternatives bool
}

// verb returns the end of a sentence about nodes that meet the requirement, for example
// "has label pool=train".
func (r *requirement) verb() string {
	switch {
	case r.alternatives:
		return "matches " + r.text
	case strings.HasPrefix(r.text, "no "):
		return "is without" + strings.TrimPrefix(r.text, "no")
	}
	return "has " + r.text
}

// requirementsOf lists the requirements of a pod: a label for each entry of its node
// selector, and each expression of its node affinity. Several terms of a node affinity are
// one requirement: one of them must match.
func requirementsOf(pod *v1.Pod) []requirement {
	var all []requirement
	for _, key := range slices.Sorted(maps.Keys(pod.Spec.NodeSelector)) {
		value := pod.Spec.NodeSelector[key]
		met := func(node *v1.Node) bool { has, ok := node.Labels[key]; return ok && has == value }
		all = append(all, requirement{field: "node selector", text: "label " + key + "=" + value, met: met})
	}
	terms := requiredTerms(pod)
	if len(terms) != 1 {
		if len(terms) > 1 {
			several := newRequirement(fmt.Sprintf("any of %d terms", len(terms)), terms...)
			several.alternatives = true
			all = append(all, several)
		}
		return all
	}
	for _, e := range terms[0].MatchExpressions {
		all = append(all, newRequirement(describe("label "+e.Key, e), v1.NodeSelectorTerm{MatchExpressions: []v1.NodeSelectorRequirement{e}}))
	}
	for _, e := range terms[0].MatchFields {
		all = append(all, newRequirement(describe(e.Key, e), v1.NodeSelectorTerm{MatchFields: []v1.NodeSelectorRequirement{e}}))
	}
	return all
}

func requiredTerms(pod *v1.Pod) []v1.NodeSelectorTerm {
	affinity := pod.Spec.Affinity
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// newRequirement returns the requirement that a node matches one of the node selector
// terms. An invalid term counts as met, so that the stock filters report the fault.
func newRequirement(text string, terms ...v1.NodeSelectorTerm) requirement {
	selector, err := nodeaffinity.NewNodeSelector(&v1.NodeSelector{NodeSelectorTerms: terms})
	met := func(node *v1.Node) bool { return err != nil || selector.Match(node) }
	return requirement{field: "node affinity", text: text, met: met}
}

// describe writes a node selector expression as "label pool=train" or "label pool in
// (train, serve)".
func describe(subject string, e v1.NodeSelectorRequirement) string {
	values := strings.Join(e.Values, ", ")
	switch e.Operator {
	case v1.NodeSelectorOpIn:
		if subject = strings.Replace(subject, metav1.ObjectNameField, "name", 1); len(e.Values) == 1 {
			return subject + "=" + values
		}
		return subject + " in (" + values + ")"
	case v1.NodeSelectorOpNotIn:
		return subject + " not in (" + values + ")"
	case v1.NodeSelectorOpDoesNotExist:
		return "no " + subject
	case v1.NodeSelectorOpGt:
		return subject + " > " + values
	case v1.NodeSelectorOpLt:
		return subject + " < " + values
	}
	return subject
}

// affinityRefusal returns the refusal of a node that the pod's node selector or node
// affinity excludes. It names the first requirement that the node does not meet.
func affinityRefusal(pod *v1.Pod, node *v1.Node) filterRefusal {
	for _, r := range requirementsOf(pod) {
		if !r.met(node) {
			return filterRefusal{plugin: affinityConflict.plugin, message: r.field + " requires " + r.text, own: true}
		}
	}
	return affinityConflict
}

// unmatched returns the end of a sentence about a pod whose node selector or node affinity
// no node matches. Such a pod does not wait for room: its node selector or affinity, or the
// nodes' labels, must change. unmatched returns "" if a node matches.
func unmatched(pod *v1.Pod, nodes []fwk.NodeInfo) string {
	required := requirementsOf(pod)
	matches := func(r ...requirement) bool {
		return slices.ContainsFunc(nodes, func(info fwk.NodeInfo) bool {
			node := info.Node()
			return node != nil && !slices.ContainsFunc(r, func(r requirement) bool { return !r.met(node) })
		})
	}
	if len(nodes) == 0 || matches(required...) {
		return ""
	}
	for _, r := range required {
		if !matches(r) {
			return fmt.Sprintf("no node %s, which the %s of pod %s requires", r.verb(), r.field, pod.Name)
		}
	}
	texts := make([]string, len(required))
	for i, r := range required {
		texts[i] = r.text
	}
	return fmt.Sprintf("no node has all that pod %s requires of its node: %s", pod.Name, strings.Join(texts, ", "))
}

// untolerated returns the first taint of a node that keeps the pod out, as
// key=value:effect, or "".
func untolerated(pod *v1.Pod, node *v1.Node) string {
	taint, found := repellingTaint(pod, node.Spec.Taints)
	if !found {
		return ""
	}
	return taint.ToString()
}
