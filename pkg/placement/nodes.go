// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// limitNodes gives each role whose nodes are limited the list of nodes that its members may
// use. If members wait for volumes that exist already, a node takes only as many members as
// it has such volumes for.
func limitNodes(roles []roleInput, volumes *volumeReader, nodes []fwk.NodeInfo) {
	for i := range roles {
		role := &roles[i]
		if role.rule = newNodeRule(role.sample, volumes.of(role.sample)); role.rule == nil {
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

// mayUse reports whether members of the role may use the node. If the members wait for
// volumes that exist already, mayUse limits their number to those that find volumes on the
// node.
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

// explainNodes completes the refusals of the nodes that a decision excludes. The refusals
// then name the unmet requirement of the node selector or node affinity, or the taint. It
// adds refusals for nodes that a role may not use, because the planner does not ask the
// filters about these.
func explainNodes(roles []roleInput, decision *plan.Decision, runs *dryRuns) {
	for i := range decision.Reasons {
		reason := &decision.Reasons[i]
		r := slices.IndexFunc(roles, func(r roleInput) bool { return r.Name == reason.Role })
		if r < 0 {
			continue
		}
		for _, excluded := range slices.Concat(reason.Excluded, reason.Full) {
			roles[r].explain(excluded.Refused, runs, runs.roles[r])
		}
	}
}

func (r *roleInput) explain(nodes []string, runs *dryRuns, run *dryRun) {
	for _, name := range nodes {
		info, err := runs.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil || info.Node() == nil {
			continue
		}
		refusal, known := run.refused[name]
		switch {
		case !known:
			refusal, known = r.refusalByRule(info.Node())
		case refusal.plugin == taintPlugin:
			if taint := untolerated(run.pod, info.Node()); taint != "" {
				refusal.message, refusal.own = "taint "+taint+" is not tolerated", true
			}
		}
		if !known {
			continue
		}
		if run.refused == nil {
			run.refused = filterRefusals{}
		}
		run.refused[name] = refusal
	}
}

// refusalByRule returns the refusal of a node that the role's rule (node selector, node
// affinity, volumes) excludes. ok is false if the rule does not exclude it.
func (r *roleInput) refusalByRule(node *v1.Node) (refusal filterRefusal, ok bool) {
	if r.rule == nil {
		return filterRefusal{}, false
	}
	refusal, ok = r.rule.refusal(node)
	switch {
	case refusal == affinityConflict:
		refusal = affinityRefusal(r.sample, node)
	case !ok && len(r.rule.volumes.waiting)+len(r.rule.volumes.joint) > 0:
		return noVolume, true
	}
	return refusal, ok
}

// unmatchedNodes returns a sentence about the first role that the gang needs and whose
// node selector or node affinity no node matches. It returns "" if there is no such role.
func unmatchedNodes(gang gangs.Key, roles []roleInput, decision *plan.Decision, nodes []fwk.NodeInfo) string {
	for i := range roles {
		role := &roles[i]
		short := len(decision.Reasons) > 0 && decision.Reasons[0].Role == role.Name
		if role.rule == nil || role.rule.affinity == nil || len(role.Nodes) > 0 || role.Min == 0 && !short || !role.hasPending() {
			continue
		}
		if why := unmatched(role.sample, nodes); why != "" {
			return gang.Messagef("%s", why)
		}
	}
	return ""
}

// hasPending reports whether a member of the role has no node.
func (r *roleInput) hasPending() bool {
	return slices.ContainsFunc(r.Members, func(m plan.Member) bool { return m.Node == "" })
}
