// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// The ways in which the pods of a workload say that they belong together.
const (
	nativeGang   = "PodGroup"
	labelledGang = "labelled gang"
)

// levelPrefix and the name of a level are the label of the level's domains on the nodes of our workloads.
const levelPrefix = "network.topology.nvidia.com/"

type gangKey struct{ kind, namespace, name string }

func (k gangKey) String() string { return k.kind + " " + k.namespace + "/" + k.name }

// gang is what was seen of one.
type gang struct {
	// least is its minimum, label that of its required domain: 0 and "" are none.
	least int
	label string
	nodes []string
}

func (a *Auditor) gang(key gangKey) *gang {
	if a.gangs[key] == nil {
		a.gangs[key] = &gang{}
	}
	return a.gangs[key]
}

// member counts a pod in where it belongs.
func (a *Auditor) member(pod *v1.Pod) {
	var g *gang
	group, label := pod.Spec.SchedulingGroup, pod.Labels[gangs.GangNameLabel]
	switch {
	case group != nil && group.PodGroupName != nil:
		g = a.gang(gangKey{nativeGang, pod.Namespace, *group.PodGroupName})
	case a.rules.Labelled && label != "":
		g = a.gang(gangKey{labelledGang, pod.Namespace, label})
		// A gang that states its minimum wrongly is judged by its domain only.
		g.least, _ = strconv.Atoi(pod.Annotations[gangs.GangMinAnnotation])
		if level := pod.Annotations[gangs.RequiredAnnotation]; level != "" {
			g.label = levelPrefix + level
		}
	default:
		return
	}
	if pod.Spec.NodeName != "" {
		g.nodes = append(g.nodes, pod.Spec.NodeName)
	}
}

// brokenGangs are those that are in several domains, or there in part.
func (a *Auditor) brokenGangs() []string {
	var found []string
	for _, key := range slices.SortedFunc(maps.Keys(a.gangs), func(x, y gangKey) int { return cmp.Compare(x.String(), y.String()) }) {
		g := a.gangs[key]
		if n := len(g.nodes); a.rules.Whole && n > 0 && n < g.least {
			found = append(found, fmt.Sprintf("%s has %d pods with a node, needs %d", key, n, g.least))
		}
		if g.label == "" {
			continue
		}
		domains := map[string]int{}
		for _, node := range g.nodes {
			if known := a.nodes[node]; known != nil {
				domains[known.Labels[g.label]]++
			}
		}
		if len(domains) > 1 || domains[""] > 0 {
			found = append(found, fmt.Sprintf("%s must be in one domain of %s, is in %v", key, g.label, domains))
		}
	}
	return found
}

// strays are pods that hold devices of other nodes than theirs.
func (a *Auditor) strays() []string {
	var found []string
	for _, c := range a.claims {
		if c.selector == nil {
			continue
		}
		selector, err := nodeaffinity.NewNodeSelector(c.selector)
		if err != nil {
			found = append(found, fmt.Sprintf("claim %s: %v", c.name, err))
			continue
		}
		for _, holder := range c.holders {
			if node := a.nodes[a.placed[holder]]; node != nil && !selector.Match(node) {
				found = append(found, fmt.Sprintf("claim %s is held on node %s, where its devices are not", c.name, node.Name))
			}
		}
	}
	slices.Sort(found)
	return found
}
