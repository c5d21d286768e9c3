// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/test/demo/picture"
)

// check examines an observation. It returns a sentence about the result, or an error that
// describes the failure.
type check func(seen *observation) (string, error)

// allBound checks that a gang has all its members and each has a node.
func allBound(g gang, members int) check {
	return func(seen *observation) (string, error) {
		pods := seen.members(g)
		if n := bound(pods); len(pods) != members || n != members {
			return "", fmt.Errorf("%s: %d of %d pods exist and %d are bound%s", g, len(pods), members, n, firstReason(pods))
		}
		return fmt.Sprintf("all %d pods of %s are bound", members, g), nil
	}
}

// firstReason quotes the first pod that has a reason for waiting.
func firstReason(pods []v1.Pod) string {
	for _, pod := range pods {
		if reason := unschedulableMessage(pod); reason != "" {
			return fmt.Sprintf("; pod %s: %s", pod.Name, reason)
		}
	}
	return ""
}

// level is a level of the network fabric, with its node label.
type level struct{ name, label string }

var (
	leafLevel  = level{"leaf", leafLabel}
	spineLevel = level{"spine", spineLabel}
)

// together checks that each worker of a gang has its own node, all in one domain of a level
// and in the given number of leaves.
func together(g gang, workers int, in level, leaves int) check {
	return func(seen *observation) (string, error) {
		pods := seen.workers(g)
		nodes, err := seen.countBy(pods, func(n *v1.Node) string { return n.Name })
		if err != nil {
			return "", err
		}
		if len(pods) != workers || len(nodes) != workers {
			return "", fmt.Errorf("%s: want %d workers on a node each, got %d on %d", g, workers, len(pods), len(nodes))
		}
		domains, _ := seen.countBy(pods, func(n *v1.Node) string { return n.Labels[in.label] })
		if len(domains) != 1 {
			return "", fmt.Errorf("%s: want all workers in one %s, got %s", g, in.name, spread(domains))
		}
		used, _ := seen.countBy(pods, func(n *v1.Node) string { return n.Labels[leafLabel] })
		if len(used) != leaves {
			return "", fmt.Errorf("%s: want %d leaves, got %s", g, leaves, spread(used))
		}
		sentence := fmt.Sprintf("all %d workers are in one %s, %s, on a node each", workers, in.name, slices.Collect(maps.Keys(domains))[0])
		if leaves > 1 {
			sentence += ": " + spread(used)
		}
		return sentence, nil
	}
}

// countBy counts pods by a property of their node.
func (o *observation) countBy(pods []v1.Pod, property func(*v1.Node) string) (map[string]int, error) {
	count := map[string]int{}
	for _, pod := range pods {
		node := o.node(pod.Spec.NodeName)
		if node == nil {
			return nil, fmt.Errorf("pod %s is on node %q, which does not exist", pod.Name, pod.Spec.NodeName)
		}
		count[property(node)]++
	}
	return count, nil
}

// spread formats counts as "4 in a, 2 in b".
func spread(count map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d in %s", count[name], name))
	}
	return strings.Join(parts, ", ")
}

// equipped checks that each worker has the given number of GPUs and of NICs, all on
// its own node, and that no other worker has one of these devices.
func equipped(g gang, each int) check {
	return func(seen *observation) (string, error) {
		workers := seen.workers(g)
		owners := map[deviceKey]string{}
		for _, pod := range workers {
			count := map[string]int{}
			for _, claim := range seen.claimsOf(pod) {
				for _, result := range results(claim) {
					key := deviceKey{result.Driver, result.Pool, result.Device}
					if other, taken := owners[key]; taken {
						return "", fmt.Errorf("device %s of %s belongs to both %s and %s", key.name, key.node, other, pod.Name)
					}
					if key.node != pod.Spec.NodeName {
						return "", fmt.Errorf("pod %s runs on %s and has device %s of %s", pod.Name, pod.Spec.NodeName, key.name, key.node)
					}
					owners[key] = pod.Name
					count[key.driver]++
				}
			}
			if count[gpuDriver] != each || count[nicDriver] != each {
				return "", fmt.Errorf("pod %s: want %d GPUs and %d NICs, got %d and %d", pod.Name, each, each, count[gpuDriver], count[nicDriver])
			}
		}
		share := seen.fleet().Share(g.letter)
		return fmt.Sprintf("each has %d GPUs and %d RDMA NICs of its own node: %d GPUs, %d NICs, %d of them beside their GPU", each, each, share.GPUs, share.NICs, share.Pairs), nil
	}
}

// headRuns checks that the Ray head has a node.
func headRuns(g gang) check {
	return func(seen *observation) (string, error) {
		for _, pod := range seen.members(g) {
			if pod.Labels["ray.io/node-type"] == "head" && pod.Spec.NodeName != "" {
				return fmt.Sprintf("its head runs on %s, on CPUs only", pod.Spec.NodeName), nil
			}
		}
		return "", fmt.Errorf("%s: no head is bound", g)
	}
}

// cannotFit checks by the demo's own arithmetic that fewer nodes are free than a gang
// needs.
func cannotFit(g gang, needed int) check {
	return func(seen *observation) (string, error) {
		left := seen.fleet().Share(picture.Free).Nodes
		if left >= needed {
			return "", fmt.Errorf("%d nodes are free: %s, which needs %d, could start", left, g, needed)
		}
		return fmt.Sprintf("%d nodes are free and %s needs %d", left, g, needed), nil
	}
}

// holdsNothing checks that a waiting gang has neither a node nor a device.
func holdsNothing(g gang, members int) check {
	return func(seen *observation) (string, error) {
		pods := seen.members(g)
		if len(pods) != members {
			return "", fmt.Errorf("%s: want %d pods, got %d", g, members, len(pods))
		}
		claims := 0
		for _, pod := range pods {
			if pod.Spec.NodeName != "" || pod.Status.NominatedNodeName != "" {
				return "", fmt.Errorf("pod %s of a gang that cannot fit has node %q, nominated %q", pod.Name, pod.Spec.NodeName, pod.Status.NominatedNodeName)
			}
			for _, claim := range seen.claimsOf(pod) {
				if claim.Status.Allocation != nil {
					return "", fmt.Errorf("claim %s of a gang that cannot fit is allocated", claim.Name)
				}
				claims++
			}
		}
		return fmt.Sprintf("none of its %d pods has a node, none of its %d claims a device", members, claims), nil
	}
}

// reportsReason checks that each waiting pod has a reason that names its gang, and that its
// PodGroup has an event with the same sentence. The scheduler framework writes "0/16 nodes
// are available: " before the message of a plugin.
func reportsReason(g gang, members int) check {
	return func(seen *observation) (string, error) {
		var reasons []string
		for _, pod := range seen.members(g) {
			reason := unschedulableMessage(pod)
			if !strings.Contains(reason, g.name) {
				return "", fmt.Errorf("pod %s has no reason that names its gang: PodScheduled has %q", pod.Name, reason)
			}
			reasons = append(reasons, reason)
		}
		if count := len(seen.members(g)); count != members {
			return "", fmt.Errorf("%s: want %d pods, got %d", g, members, count)
		}
		for _, event := range seen.events {
			quotes := func(reason string) bool {
				return event.Message != "" && strings.Contains(reason, strings.TrimRight(event.Message, "."))
			}
			if event.InvolvedObject.Kind == g.kind && event.InvolvedObject.Name == g.name && slices.ContainsFunc(reasons, quotes) {
				return fmt.Sprintf("all %d pods have a reason, and an event on the %s has it too", members, g.kind), nil
			}
		}
		return "", fmt.Errorf("no event on %s has the sentence of its pods", g)
	}
}

// unschedulableMessage returns the message of a pod that cannot be scheduled.
func unschedulableMessage(pod v1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == v1.PodScheduled && condition.Status == v1.ConditionFalse && condition.Reason == v1.PodReasonUnschedulable {
			return condition.Message
		}
	}
	return ""
}

// gone checks that a gang has no pods any more.
func gone(g gang) check {
	return func(seen *observation) (string, error) {
		if left := len(seen.members(g)); left > 0 {
			return "", fmt.Errorf("%s was deleted and has %d pods", g, left)
		}
		return fmt.Sprintf("nothing of %s is left", g), nil
	}
}
