// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// NodeEligible reports whether the pod may run on the node by its node selector, its node
// affinity and the node's taints. It ignores resources and volumes.
func NodeEligible(pod *v1.Pod, node *v1.Node) bool {
	if match, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !match {
		return false
	}
	taints := node.Spec.Taints
	if node.Spec.Unschedulable {
		taints = append(taints[:len(taints):len(taints)], v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule})
	}
	_, repelled := repellingTaint(pod, taints)
	return !repelled
}

// repellingTaint returns the first of the taints that keeps the pod from being scheduled
// on a node. found is false if the pod tolerates all.
func repellingTaint(pod *v1.Pod, taints []v1.Taint) (taint v1.Taint, found bool) {
	return corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), taints, pod.Spec.Tolerations, repels, true)
}

// repels reports whether a taint keeps pods without a toleration from being scheduled.
func repels(t *v1.Taint) bool { return t.Effect != v1.TaintEffectPreferNoSchedule }

// ExcludeNodes returns the PreFilter result for a pod without a gang that excludes the
// nodes reserved for a gang. Its status is Skip if no node is reserved.
func ExcludeNodes(reserved map[string]bool, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if len(reserved) == 0 {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	left := sets.New[string]()
	for _, info := range nodes {
		if name := info.Node().Name; !reserved[name] {
			left.Insert(name)
		}
	}
	return &fwk.PreFilterResult{NodeNames: left}, nil
}
