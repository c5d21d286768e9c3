// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// addSpread adds the planner's rules for a topology spread constraint: one rule for each
// set of nodes on which the constraint counts pods for some role. The set depends on the
// role's other constraints, node affinity and tolerations.
func (w *ruleWriter) addSpread(term int) {
	known := &w.terms.terms[term]
	counted, at := w.matching(term), map[string]int{}
	var existing map[string]int
	for r := range w.roles {
		role := &w.roles[r]
		if role.key.held>>term&1 == 0 {
			continue
		}
		if existing == nil {
			existing = w.count(known)
		}
		level := w.countedNodes(role, known.even)
		i, ok := at[level]
		if !ok {
			i = len(w.gang.Spread)
			at[level] = i
			w.gang.Spread = append(w.gang.Spread, plan.Spread{
				Level: level, Counted: counted, Existing: existing,
				MaxSkew: int(known.even.MaxSkew), MinDomains: int(valueOr(known.even.MinDomains, 1)),
			})
		}
		w.gang.Spread[i].Roles = append(w.gang.Spread[i].Roles, role.Name)
	}
}

// count returns, by node, the number of pods that a topology spread constraint counts. It
// leaves out terminating pods.
func (w *ruleWriter) count(term *podTerm) map[string]int {
	counts := map[string]int{}
	for _, info := range w.nodes {
		if info.Node() == nil {
			continue
		}
		for _, added := range info.GetPods() {
			if pod := added.GetPod(); pod.DeletionTimestamp == nil && term.matches(pod) {
				counts[info.Node().Name]++
			}
		}
	}
	return counts
}

// countedNodes returns the name of a partition of the nodes that a topology spread
// constraint counts for a role: nodes with the topology keys of all constraints of the
// pod that meet the constraint's node policies. The role's members cannot use other
// nodes: this constraint, another one, the node affinity or a taint keeps them away.
func (w *ruleWriter) countedNodes(role *roleInput, constraint *v1.TopologySpreadConstraint) string {
	pod := role.sample
	keys := spreadKeys(pod)
	affinity := nodeaffinity.GetRequiredNodeAffinity(pod)
	honorsAffinity := choosesNodes(pod) && valueOr(constraint.NodeAffinityPolicy, v1.NodeInclusionPolicyHonor) == v1.NodeInclusionPolicyHonor
	honorsTaints := valueOr(constraint.NodeTaintsPolicy, v1.NodeInclusionPolicyIgnore) == v1.NodeInclusionPolicyHonor
	name := fmt.Sprintf("label %s of nodes with %q", constraint.TopologyKey, keys)
	if honorsAffinity || honorsTaints {
		name += fmt.Sprintf(" for members like %s, by affinity %v and taints %v", role.Name, honorsAffinity, honorsTaints)
	}
	return w.partition(name, constraint.TopologyKey, func(node *v1.Node) bool {
		for _, key := range keys {
			if _, ok := node.Labels[key]; !ok {
				return false
			}
		}
		if honorsAffinity {
			if match, _ := affinity.Match(node); !match { // the stock filter ignores the error as well
				return false
			}
		}
		return !honorsTaints || tolerates(pod, node)
	})
}

// spreadKeys returns the topology keys of a pod's spread constraints that must be
// satisfied.
func spreadKeys(pod *v1.Pod) []string {
	var keys []string
	for i := range pod.Spec.TopologySpreadConstraints {
		if c := &pod.Spec.TopologySpreadConstraints[i]; c.WhenUnsatisfiable == v1.DoNotSchedule {
			keys = append(keys, c.TopologyKey)
		}
	}
	return keys
}

// tolerates reports whether no taint of the node keeps the pod from being scheduled there.
func tolerates(pod *v1.Pod, node *v1.Node) bool {
	_, repelled := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, pod.Spec.Tolerations, repels, true)
	return !repelled
}

// valueOr returns what a pointer points to, or a default for nil.
func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
