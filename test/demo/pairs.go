// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// hardware maps each device to its alignment unit in the node: a GPU and a NIC of one unit
// are a pair. It is computed from the fleet's shape, not from the scheduler's data.
type hardware map[deviceKey]int

func hardwareOf(spec fleet.Spec) hardware {
	units := hardware{}
	for node := range spec.All() {
		places := node.Places()
		for _, offered := range node.Slices() {
			for _, device := range offered.Spec.Devices {
				if place, known := places[device.Name]; known {
					units[deviceKey{offered.Spec.Driver, node.Name(), device.Name}] = place.Unit
				}
			}
		}
	}
	return units
}

// isPair reports whether two devices are in the same unit of the same node.
func (h hardware) isPair(a, b deviceKey) bool {
	unit, known := h[a]
	other, alsoKnown := h[b]
	return known && alsoKnown && a.node == b.node && unit == other && unit != fleet.NoUnit
}

// pair is a GPU and a NIC of one pod, or a device of the pod without a counterpart.
type pair struct {
	gpu, nic *deviceKey
	// isTrue is true if both devices are in one unit.
	isTrue bool
}

func (p pair) String() string {
	switch {
	case p.nic == nil:
		return p.gpu.name
	case p.gpu == nil:
		return p.nic.name + " without a GPU"
	case !p.isTrue:
		return p.gpu.name + " and " + p.nic.name + ", no pair"
	}
	return p.gpu.name + "+" + p.nic.name
}

// pairs matches each GPU of a pod with a NIC of the same unit. It then combines the
// unmatched GPUs and NICs in order, because the pod must use them together.
func (o *observation) pairs(pod v1.Pod) []pair {
	gpus, nics := o.held(pod, gpuDriver), o.held(pod, nicDriver)
	var pairs []pair
	var left []deviceKey
	for _, gpu := range gpus {
		at := slices.IndexFunc(nics, func(nic deviceKey) bool { return o.hardware.isPair(gpu, nic) })
		if at < 0 {
			left = append(left, gpu)
			continue
		}
		nic := nics[at]
		nics = slices.Delete(nics, at, at+1)
		pairs = append(pairs, pair{gpu: &gpu, nic: &nic, isTrue: true})
	}
	for i := range max(len(left), len(nics)) {
		var rest pair
		if i < len(left) {
			rest.gpu = &left[i]
		}
		if i < len(nics) {
			rest.nic = &nics[i]
		}
		pairs = append(pairs, rest)
	}
	return pairs
}

// held returns the devices of one driver that a pod's claims hold, sorted by name.
func (o *observation) held(pod v1.Pod, driver string) []deviceKey {
	var held []deviceKey
	for _, claim := range o.claimsOf(pod) {
		for _, result := range results(claim) {
			if result.Driver == driver {
				held = append(held, deviceKey{result.Driver, result.Pool, result.Device})
			}
		}
	}
	slices.SortFunc(held, func(a, b deviceKey) int { return cmp.Compare(a.name, b.name) })
	return held
}

// pairsInLine is the maximum number of pairs in a line of a terminal.
const pairsInLine = 3

// pairHeading returns the heading of a gang's pairLines.
func pairHeading(g gang) string {
	return "GPU-NIC pairs of " + g.String() + ", by the hardware's data (devices are listed where they differ from the first pod's):"
}

// pairLines lists the pairs of each pod of a gang that holds devices. After the first pod,
// it lists the devices of a pod only if their names differ from those of the first pod.
func (o *observation) pairLines(g gang) []string {
	var lines []string
	var first []string
	for _, pod := range o.workers(g) {
		pairs := o.pairs(pod)
		if len(pairs) == 0 {
			continue
		}
		summary := fmt.Sprintf("%d of %d pairs are true", countTrue(pairs), len(pairs))
		if len(o.held(pod, nicDriver)) == 0 {
			summary = "GPUs only"
		}
		lines = append(lines, fmt.Sprintf("%s on %s: %s", pod.Name, pod.Spec.NodeName, summary))
		names := namesOf(pairs)
		if slices.Equal(names, first) {
			continue
		}
		if first == nil {
			first = names
		}
		for chunk := range slices.Chunk(names, pairsInLine) {
			lines = append(lines, "  "+strings.Join(chunk, "  "))
		}
	}
	return lines
}

func namesOf(pairs []pair) []string {
	var names []string
	for _, pair := range pairs {
		names = append(names, pair.String())
	}
	return names
}

func countTrue(pairs []pair) int {
	count := 0
	for _, pair := range pairs {
		if pair.isTrue {
			count++
		}
	}
	return count
}

// paired checks that each worker of a gang has only true pairs.
func paired(g gang) check {
	return func(seen *observation) (string, error) {
		total, workers := 0, seen.workers(g)
		for _, pod := range workers {
			pairs := seen.pairs(pod)
			if len(pairs) == 0 {
				return "", fmt.Errorf("pod %s holds no device", pod.Name)
			}
			for _, pair := range pairs {
				if !pair.isTrue {
					return "", fmt.Errorf("pod %s on %s has %d true pairs of %d: %s", pod.Name, pod.Spec.NodeName, countTrue(pairs), len(pairs), pair)
				}
			}
			total += len(pairs)
		}
		if total == 0 {
			return "", fmt.Errorf("%s has no worker with devices", g)
		}
		return fmt.Sprintf("by the hardware's data all %d pairs of its %d workers are true", total, len(workers)), nil
	}
}

// gpusOnly checks that each pod is on its own node and holds GPUs and no NIC. It also
// checks that the first free GPU and the first free NIC of those nodes are no pair:
// otherwise the next step would demonstrate nothing.
func gpusOnly(g gang, pods, gpus int) check {
	return func(seen *observation) (string, error) {
		nodes := map[string]bool{}
		for _, pod := range seen.workers(g) {
			node := pod.Spec.NodeName
			if has, nics := len(seen.held(pod, gpuDriver)), len(seen.held(pod, nicDriver)); has != gpus || nics != 0 {
				return "", fmt.Errorf("pod %s: want %d GPUs and no NIC, got %d and %d", pod.Name, gpus, has, nics)
			}
			gpu, nic := seen.firstFree(gpuDriver, node), seen.firstFree(nicDriver, node)
			if seen.hardware.isPair(gpu, nic) {
				return "", fmt.Errorf("the first free devices of %s, %s and %s, are a pair: it shows nothing there", node, gpu.name, nic.name)
			}
			nodes[node] = true
		}
		if len(nodes) != pods {
			return "", fmt.Errorf("%s: want %d pods on a node each, got %d nodes", g, pods, len(nodes))
		}
		return fmt.Sprintf("each has %d GPUs and no NIC, on a node each: the first free GPU and the first free NIC there are no pair", gpus), nil
	}
}

// firstFree returns the first free device of a driver on a node.
func (o *observation) firstFree(driver, node string) deviceKey {
	holders := o.holders()
	for _, slice := range o.slices {
		if slice.Spec.Driver != driver || slice.Spec.Pool.Name != node {
			continue
		}
		for _, device := range slice.Spec.Devices {
			key := deviceKey{driver, node, device.Name}
			if _, taken := holders[key]; !taken {
				return key
			}
		}
	}
	return deviceKey{driver: driver, node: node}
}

// beside checks that each worker of a gang runs on a node with a pod of another gang.
func beside(g, first gang) check {
	return func(seen *observation) (string, error) {
		nodes := map[string]bool{}
		for _, pod := range seen.workers(first) {
			nodes[pod.Spec.NodeName] = true
		}
		workers := seen.workers(g)
		for _, pod := range workers {
			if !nodes[pod.Spec.NodeName] {
				return "", fmt.Errorf("pod %s is on %q, where no pod of %s runs", pod.Name, pod.Spec.NodeName, first)
			}
		}
		return fmt.Sprintf("all %d workers are on nodes where %s came first", len(workers), first), nil
	}
}
