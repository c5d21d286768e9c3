// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// nodeVersion is a state of a node; replaced is the time of the next state, zero for the
// present state.
type nodeVersion struct {
	node     *v1.Node
	replaced time.Time
}

// nodeHistory holds the versions of one node, oldest first.
type nodeHistory struct {
	versions []nodeVersion
}

// forget drops the versions for whose time of replacement past returns true.
func (h *nodeHistory) forget(past func(time.Time) bool) {
	h.versions = slices.DeleteFunc(h.versions, func(v nodeVersion) bool {
		return !v.replaced.IsZero() && past(v.replaced)
	})
}

// nodeLoad is the sum of requests and the number of the pods on a node.
type nodeLoad struct {
	wanted v1.ResourceList
	pods   int64
}

// problem describes why no version in the history admits the pod, or returns "".
func (h *nodeHistory) problem(pod *v1.Pod, load nodeLoad) string {
	if h == nil || len(h.versions) == 0 {
		return "does not exist"
	}
	why := ""
	for _, version := range h.versions {
		if why = versionProblem(version.node, pod, load); why == "" {
			return ""
		}
	}
	return why
}

// versionProblem describes why a version of a node does not admit the pod, or returns "".
func versionProblem(node *v1.Node, pod *v1.Pod, load nodeLoad) string {
	if why := overcommitted(node.Status.Allocatable, load); why != "" {
		return why
	}
	if match, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !match {
		return "does not match the pod's nodeSelector and required node affinity"
	}
	taints := slices.Clone(node.Spec.Taints)
	if node.Spec.Unschedulable {
		taints = append(taints, v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule})
	}
	repels := func(t *v1.Taint) bool { return t.Effect != v1.TaintEffectPreferNoSchedule }
	taint, repelled := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), taints, pod.Spec.Tolerations, repels, true)
	if repelled {
		return fmt.Sprintf("has the taint %s that the pod does not tolerate", taint.ToString())
	}
	return ""
}

// overcommitted names the first resource whose requests exceed the allocatable amount.
func overcommitted(allocatable v1.ResourceList, load nodeLoad) string {
	if most := allocatable.Pods().Value(); load.pods > most {
		return fmt.Sprintf("is over-committed: %d pods of %d", load.pods, most)
	}
	for _, name := range slices.Sorted(maps.Keys(load.wanted)) {
		wanted, has := load.wanted[name], allocatable[name]
		if wanted.Sign() > 0 && wanted.Cmp(has) > 0 {
			return fmt.Sprintf("is over-committed: %s of %s %s", wanted.String(), has.String(), name)
		}
	}
	return ""
}

// requests returns the requests of a pod, including init containers and overhead, without
// the extended resources that a claim provides.
func requests(pod *v1.Pod) v1.ResourceList {
	list := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	if status := pod.Status.ExtendedResourceClaimStatus; status != nil {
		for _, mapping := range status.RequestMappings {
			delete(list, v1.ResourceName(mapping.ResourceName))
		}
	}
	return list
}

func totalRequests[K comparable](pods map[K]*v1.Pod) v1.ResourceList {
	total := v1.ResourceList{}
	for _, pod := range pods {
		for name, quantity := range requests(pod) {
			sum := total[name]
			sum.Add(quantity)
			total[name] = sum
		}
	}
	return total
}

// formatResources lists resources, ordered by name.
func formatResources(list v1.ResourceList) string {
	if len(list) == 0 {
		return "nothing"
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(list)) {
		quantity := list[name]
		words = append(words, fmt.Sprintf("%s %s", quantity.String(), name))
	}
	return joinWords(words)
}
