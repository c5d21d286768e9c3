// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// A PersistentVolumeClaim without a volume that several members use gets its volume in
// the scheduling cycle of the first of them. The others must then follow: to the nodes
// that can use the volume, or to the first member's node if the volume is still to be
// created. For the planner, the users of the claim therefore have affinity to each other.

// addJointClaims adds an affinity rule for each claim without a volume that several
// members use.
func (w *ruleWriter) addJointClaims(volumes *volumeReader) {
	claims, users := map[string]*v1.PersistentVolumeClaim{}, map[string][]int{}
	for r := range w.roles {
		own := volumes.of(w.roles[r].sample)
		for _, claim := range slices.Concat(own.joint, own.provisioned) {
			claims[claim.Name] = claim
			users[claim.Name] = append(users[claim.Name], r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		level, ok := w.volumeDomains(volumes, claims[name])
		if !ok {
			continue
		}
		rule := plan.Affinity{Levels: []string{level}}
		for _, r := range users[name] {
			rule.Roles = append(rule.Roles, w.roles[r].Name)
			for _, m := range w.roles[r].Members {
				if m.Node != "" {
					rule.Existing = append(rule.Existing, m.Node)
				}
			}
		}
		rule.Matching = rule.Roles
		w.gang.Affinity = append(w.gang.Affinity, rule)
	}
}

// volumeDomains divides the nodes by the volume that a claim gets if its first user is
// there, and returns the name of this division (a topology level or a partition). If the
// volume is still to be created, each node is a domain. ok is false if the nodes cannot be
// divided in this way: a node can use the volumes of several domains, or the claim may get a
// volume that exists instead of a new one.
func (w *ruleWriter) volumeDomains(volumes *volumeReader, claim *v1.PersistentVolumeClaim) (level string, ok bool) {
	if !volumes.isStatic(claim) {
		return plan.NodeLevel, !volumes.hasFree(volume.GetPersistentVolumeClaimClass(claim))
	}
	partition := plan.Partition{Name: "volumes for claim " + claim.Name, Domains: map[string]string{}}
	first := map[string]*v1.PersistentVolume{}
	for _, info := range w.nodes {
		if node := info.Node(); node != nil {
			if found := volumes.match(claim, node, nil); found != nil {
				partition.Domains[node.Name], first[found.Name] = found.Name, found
			}
		}
	}
	for _, info := range w.nodes {
		node := info.Node()
		if node == nil {
			continue
		}
		for name, v := range first {
			if volume.CheckNodeAffinity(v, node.Labels) == nil && partition.Domains[node.Name] != name {
				return "", false
			}
		}
	}
	w.gang.Partitions = append(w.gang.Partitions, partition)
	return partition.Name, true
}
