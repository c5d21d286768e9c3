// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
)

// judgeBinding checks I2 (no device or capacity is used twice, and stock filters accept the
// node) for a binding, with the pods that are on the node at that moment.
func (j *judge) judgeBinding(pod *v1.Pod, now time.Time) {
	node := pod.Spec.NodeName
	load := nodeLoad{wanted: totalRequests(j.onNode[node]), pods: int64(len(j.onNode[node]))}
	bound := fmt.Sprintf("%s was bound to %s", podName(pod), node)
	j.suspect(suspicion{at: now, subject: bound + ", which",
		problem:  func() string { return j.nodes[node].problem(pod, load) },
		evidence: func() []string { return j.requestLines(node, now) }})
	last := ""
	j.suspect(suspicion{at: now, subject: bound,
		problem: func() string {
			problem := j.claimsProblem(pod)
			switch {
			case j.pods[pod.UID] == nil:
				return last // The claims of a deleted pod are released.
			case strings.HasSuffix(problem, claimMissing), strings.HasSuffix(problem, claimUnallocated), strings.HasSuffix(problem, claimUnreserved):
				last = "" // The claim's events may come after the pod's deletion, or long before.
			default:
				last = problem
			}
			return problem
		},
		evidence: func() []string { return []string{"bound at " + formatTime(now)} }})
}

// requestLines lists the requests of each pod on a node.
func (j *judge) requestLines(node string, now time.Time) []string {
	lines := []string{"bound at " + formatTime(now)}
	for _, p := range slices.SortedFunc(maps.Values(j.onNode[node]), func(a, b *v1.Pod) int {
		return strings.Compare(podName(a), podName(b))
	}) {
		lines = append(lines, fmt.Sprintf("on %s: %s asks for %s", node, podName(p), formatResources(requests(p))))
	}
	return lines
}

// claimsProblem describes the first problem with the claims of a bound pod, or returns "".
func (j *judge) claimsProblem(pod *v1.Pod) string {
	if current := j.pods[pod.UID]; current != nil {
		pod = current
	}
	for _, name := range claimNames(pod) {
		if why := j.claimProblem(pod, claimKey{pod.Namespace, name}); why != "" {
			return fmt.Sprintf("with claim %s, which %s", name, why)
		}
	}
	return ""
}

// Problems that a claim seems to have if the checker has not received its allocation yet, or
// has already received the end of its allocation.
const (
	claimMissing     = "does not exist"
	claimUnreserved  = "is not reserved for the pod"
	claimUnallocated = "is not allocated"
)

func (j *judge) claimProblem(pod *v1.Pod, key claimKey) string {
	c := j.claims[key]
	switch {
	case c == nil:
		return claimMissing
	case c.object.Status.Allocation == nil:
		return claimUnallocated
	case !reservedFor(c.object, pod):
		return claimUnreserved
	}
	history := j.nodes[pod.Spec.NodeName]
	if history == nil || len(history.versions) == 0 {
		return "" // The other check of judgeBinding reports a missing node.
	}
	node := history.versions[len(history.versions)-1].node
	if !selects(c.object.Status.Allocation.NodeSelector, node) {
		return "is allocated for other nodes"
	}
	for _, result := range results(c.object) {
		if !j.reachable(deviceOf(result), node) {
			return fmt.Sprintf("has device %s, which no ResourceSlice offers on that node", deviceOf(result))
		}
	}
	return ""
}

// reachable reports whether a slice offers the device on the node, or did so until Settle ago
// (Options.Settle, the lag allowed between two watches).
func (j *judge) reachable(device deviceID, node *v1.Node) bool {
	pool := poolID{device.driver, device.pool}
	for _, s := range j.publishedSlices[pool] {
		if offers(s, device.name, node) {
			return true
		}
	}
	return slices.ContainsFunc(j.goneSlices, func(gone goneSlice) bool {
		return poolOf(gone.slice) == pool && offers(gone.slice, device.name, node)
	})
}

// offers reports whether a slice offers the device on the node.
func offers(s *resourceapi.ResourceSlice, device string, node *v1.Node) bool {
	return slices.ContainsFunc(s.Spec.Devices, func(d resourceapi.Device) bool {
		return d.Name == device && offersDevice(&s.Spec, &d, node)
	})
}
