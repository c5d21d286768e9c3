// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"regexp"
	"strconv"

	v1 "k8s.io/api/core/v1"
)

// preemptor is the gang or the pod for which Dovetail evicts pods, by the name in the condition
// of these pods.
type preemptor struct {
	kind            string // "gang" or "pod"
	namespace, name string
}

func (p preemptor) String() string { return fmt.Sprintf("%s %s/%s", p.kind, p.namespace, p.name) }

// evictedFor matches the beginning of the condition's message.
var evictedFor = regexp.MustCompile(`^evicted for (gang|pod) ([^/ ]+)/([^ ,;:]+) of priority (-?[0-9]+)`)

// preemptorOf returns the preemptor, and its priority, that the pod's DisruptionTarget condition
// names. It returns false if Dovetail does not evict the pod. Other schedulers use the same
// condition and reason with other messages.
func preemptorOf(pod *v1.Pod) (preemptor, int64, bool) {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type != v1.DisruptionTarget || c.Status != v1.ConditionTrue || c.Reason != v1.PodReasonPreemptionByScheduler {
			continue
		}
		found := evictedFor.FindStringSubmatch(c.Message)
		if found == nil {
			continue
		}
		priority, err := strconv.ParseInt(found[4], 10, 64)
		return preemptor{found[1], found[2], found[3]}, priority, err == nil
	}
	return preemptor{}, 0, false
}

// priorityOf returns the priority of a pod, which is 0 for a pod without one.
func priorityOf(pod *v1.Pod) int64 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return int64(*pod.Spec.Priority)
}

// isActive reports whether a pod waits or runs: it is neither finished nor being deleted.
func isActive(pod *v1.Pod) bool { return pod.DeletionTimestamp == nil && !finished(pod) }
