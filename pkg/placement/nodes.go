// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"maps"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// limitNodes gives each role the nodes that its members may use. Where members wait for
// volumes that exist, a node takes no more of them than it has such volumes.
func limitNodes(roles []roleInput, volumes *volumeReader, nodes []fwk.NodeInfo) {
	for i := range roles {
		role := &roles[i]
		if role.rule = newNodeRule(role.sample, volumes); role.rule == nil {
			continue
		}
		role.Nodes, role.Limit = []string{}, maps.Clone(role.Limit)
		role.NodesFixed = len(role.rule.volumes.bound) > 0 || role.rule.volumes.selected != ""
		for _, info := range nodes {
			if node := info.Node(); node != nil && role.mayUse(node, volumes) {
				role.Nodes = append(role.Nodes, node.Name)
			}
		}
	}
}

// mayUse reports whether members of the role may use the node. It limits them to the
// volumes of the node that they wait for.
func (r *roleInput) mayUse(node *v1.Node, volumes *volumeReader) bool {
	if _, refused := r.rule.refusal(node); refused {
		return false
	}
	if len(r.rule.volumes.waiting)+len(r.rule.volumes.joint) == 0 {
		return true
	}
	room := volumes.room(r.rule.volumes, node, len(r.Members))
	if room == 0 || room == len(r.Members) {
		return room > 0
	}
	if most, limited := r.Limit[node.Name]; !limited || room < most {
		if r.Limit == nil {
			r.Limit = map[string]int{}
		}
		r.Limit[node.Name] = room
	}
	return true
}

// explainNodes adds to the refusals of a plan's filters those of the nodes that a role may
// not use, as far as the decision counts them.
func explainNodes(roles []roleInput, decision *plan.Decision, runs *dryRuns) {
	for i := range decision.Reasons {
		reason := &decision.Reasons[i]
		for r := range roles {
			if roles[r].Name != reason.Role || roles[r].rule == nil {
				continue
			}
			for _, excluded := range reason.Excluded {
				roles[r].rule.explain(excluded.Refused, runs, runs.roles[r])
			}
		}
	}
}

func (r *nodeRule) explain(nodes []string, runs *dryRuns, run *dryRun) {
	for _, name := range nodes {
		if _, known := run.refused[name]; known {
			continue
		}
		info, err := runs.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil || info.Node() == nil {
			continue
		}
		refusal, refused := r.refusal(info.Node())
		if !refused && len(r.volumes.waiting)+len(r.volumes.joint) > 0 {
			refusal, refused = noVolume, true
		}
		if !refused {
			continue
		}
		if run.refused == nil {
			run.refused = filterRefusals{}
		}
		run.refused[name] = refusal
	}
}
