// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pods lists the namespace's pods that match the selector and are not being deleted.
func (e *Env) Pods(selector string) []corev1.Pod {
	e.Helper()
	return slices.DeleteFunc(e.allPods(selector), func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

// allPods is like Pods, but includes pods that are being deleted.
func (e *Env) allPods(selector string) []corev1.Pod {
	e.Helper()
	list, err := e.Client.CoreV1().Pods(e.Namespace).List(context.Background(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("listing pods: %v", err)
	}
	return list.Items
}

// RemovePod deletes a pod.
func (e *Env) RemovePod(name string) {
	e.Helper()
	if err := e.Client.CoreV1().Pods(e.Namespace).Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
		e.Fatalf("deleting pod %s: %v", name, err)
	}
}

// RemovePods deletes the pods that match the selector.
func (e *Env) RemovePods(selector string) {
	e.Helper()
	err := e.Client.CoreV1().Pods(e.Namespace).DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("deleting pods with %q: %v", selector, err)
	}
}

// Gone waits until no pod matches the selector, not even one that is being deleted.
func (e *Env) Gone(selector string) {
	e.Helper()
	e.Until(fmt.Sprintf("the pods with %q are gone", selector), func(context.Context) string {
		left := ""
		for _, pod := range e.allPods(selector) {
			left += fmt.Sprintf("pod %s on %q is there, deleted at %v; ", pod.Name, pod.Spec.NodeName, pod.DeletionTimestamp)
		}
		return left
	})
}

// NodesOf returns the node names of the matching pods, "" for a pod without a node.
func (e *Env) NodesOf(selector string) []string {
	e.Helper()
	var nodes []string
	for _, pod := range e.Pods(selector) {
		nodes = append(nodes, pod.Spec.NodeName)
	}
	return nodes
}

// Bound counts the matching pods that have a node.
func (e *Env) Bound(selector string) int {
	e.Helper()
	n := 0
	for _, node := range e.NodesOf(selector) {
		if node != "" {
			n++
		}
	}
	return n
}

// Whole waits until n pods match and all have a node.
func (e *Env) Whole(selector string, n int) {
	e.Helper()
	e.Eventually(fmt.Sprintf("%d pods with %s are bound", n, selector), func() bool {
		nodes := e.NodesOf(selector)
		return len(nodes) == n && !slices.Contains(nodes, "")
	})
}

// UntilBound waits until n of the matching pods have a node.
func (e *Env) UntilBound(selector string, n int) {
	e.Helper()
	e.Eventually(fmt.Sprintf("%d of the pods with %s are bound", n, selector), func() bool { return e.Bound(selector) == n })
}

// Waiting waits until n of the matching pods have a waiting reason that contains the
// sentence.
func (e *Env) Waiting(selector string, n int, sentence string) {
	e.Helper()
	e.Until(fmt.Sprintf("%d pods with %s wait because of %q", n, selector, sentence), func(context.Context) string {
		waiting, others := 0, ""
		for _, pod := range e.Pods(selector) {
			if reason := Unschedulable(&pod); strings.Contains(reason, sentence) {
				waiting++
			} else {
				others += fmt.Sprintf("pod %s on %q: %s; ", pod.Name, pod.Spec.NodeName, reason)
			}
		}
		if waiting == n {
			return ""
		}
		return fmt.Sprintf("%d do; %s", waiting, others)
	})
}

// Refused is like Waiting, but fails if a matching pod is bound.
func (e *Env) Refused(selector string, n int, sentence string) {
	e.Helper()
	e.Waiting(selector, n, sentence)
	if n := e.Bound(selector); n != 0 {
		e.Errorf("%d pods with %s are bound, want none", n, selector)
	}
}

// Unschedulable returns the message of the pod's PodScheduled=False condition.
func Unschedulable(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	return ""
}

// GroupOf returns the name of the pod's PodGroup, or "".
func GroupOf(pod *corev1.Pod) string {
	if pod.Spec.SchedulingGroup == nil || pod.Spec.SchedulingGroup.PodGroupName == nil {
		return ""
	}
	return *pod.Spec.SchedulingGroup.PodGroupName
}

// Domains counts the bound matching pods by the value of a label of their nodes.
func (e *Env) Domains(selector, label string) map[string]int {
	e.Helper()
	seen := map[string]int{}
	for _, name := range e.NodesOf(selector) {
		if name == "" {
			continue
		}
		node, err := e.Client.CoreV1().Nodes().Get(e.Context(), name, metav1.GetOptions{})
		if err != nil {
			e.Fatalf("reading node %q: %v", name, err)
		}
		seen[node.Labels[label]]++
	}
	return seen
}

// OnlyDomain returns the value of the label that the nodes of all bound pods that match share.
func (e *Env) OnlyDomain(selector, label string) string {
	e.Helper()
	domains := e.Domains(selector, label)
	if len(domains) != 1 {
		e.Fatalf("pods with %s stand in %v, want one domain of %s", selector, domains, label)
	}
	return slices.Collect(maps.Keys(domains))[0]
}
