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

// Sources of gangs: the ways in which the pods of a workload declare a gang.
const (
	podGroup     = "PodGroup"
	labelledGang = "labelled gang"
)

// levelPrefix is the prefix of the node labels of topology levels in the workloads. The
// name of a level follows it.
const levelPrefix = "network.topology.nvidia.com/"

type gangKey struct{ kind, namespace, name string }

func (k gangKey) String() string { return k.kind + " " + k.namespace + "/" + k.name }

// gang is the declaration of a gang and the nodes of its bound members.
type gang struct {
	// min is the quorum, 0 for none. label is the node label of the required domain, "" for
	// none.
	min   int
	label string
	nodes []string
}

func (a *Auditor) gang(key gangKey) *gang {
	if a.gangs[key] == nil {
		a.gangs[key] = &gang{}
	}
	return a.gangs[key]
}

// member adds a pod to its gang.
func (a *Auditor) member(pod *v1.Pod) {
	var g *gang
	group, label := pod.Spec.SchedulingGroup, pod.Labels[gangs.GangNameLabel]
	switch {
	case group != nil && group.PodGroupName != nil:
		g = a.gang(gangKey{podGroup, pod.Namespace, *group.PodGroupName})
	case a.rules.Labelled && label != "":
		g = a.gang(gangKey{labelledGang, pod.Namespace, label})
		// If the minimum is malformed, only the domain of the gang is checked.
		g.min, _ = strconv.Atoi(pod.Annotations[gangs.GangMinAnnotation])
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

// brokenGangs describes the gangs that are bound below their minimum or in several domains.
func (a *Auditor) brokenGangs() []string {
	var found []string
	for _, key := range slices.SortedFunc(maps.Keys(a.gangs), func(x, y gangKey) int { return cmp.Compare(x.String(), y.String()) }) {
		g := a.gangs[key]
		if n := len(g.nodes); a.rules.NoDeletions && n > 0 && n < g.min {
			found = append(found, fmt.Sprintf("%s has %d pods with a node, needs %d", key, n, g.min))
		}
		if g.label == "" {
			continue
		}
		domains := map[string]int{}
		for _, node := range g.nodes {
			if object := a.nodes[node]; object != nil {
				domains[object.Labels[g.label]]++
			}
		}
		if len(domains) > 1 || domains[""] > 0 {
			found = append(found, fmt.Sprintf("%s must be in one domain of %s, is in %v", key, g.label, domains))
		}
	}
	return found
}

// claimsOffNode describes the claims with devices on another node than the pod that holds
// them.
func (a *Auditor) claimsOffNode() []string {
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
