// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// ruleWriter converts the host ports, pod affinity, anti-affinity and topology spread
// constraints of a gang's members to the planner's rules between members.
type ruleWriter struct {
	roles []roleInput
	terms *podTerms
	cache *cluster.Cache
	nodes []fwk.NodeInfo
	gang  *plan.Gang
}

// write adds the rules between members to the gang. A role whose members must be on
// different nodes gets at most one member on each node. write also sets filtered of each
// role, its pod for the stock filters.
func (w *ruleWriter) write() {
	w.gang.AntiAffinity = portRules(w.roles)
	for i := range w.terms.terms {
		switch term := &w.terms.terms[i]; {
		case term.away != nil:
			w.addAntiAffinity(i, term.away.TopologyKey)
		case term.even != nil:
			w.addSpread(i)
		default:
			w.addAffinity(i)
		}
	}
	w.limitPerNode()
	for r := range w.roles {
		w.roles[r].filtered = w.terms.withoutKnown(&w.roles[r])
	}
}

// holders returns the names of the roles whose members have the term (of affinity,
// anti-affinity or spread) with this index. matching returns the names of the roles whose
// members the term matches.
func (w *ruleWriter) holders(term int) []string {
	return w.named(func(key *partKey) bool { return key.held>>term&1 == 1 })
}

func (w *ruleWriter) matching(term int) []string {
	return w.named(func(key *partKey) bool { return key.terms>>term&1 == 1 })
}

func (w *ruleWriter) named(is func(*partKey) bool) []string {
	var names []string
	for r := range w.roles {
		if is(&w.roles[r].key) {
			names = append(names, w.roles[r].Name)
		}
	}
	return names
}

func (w *ruleWriter) addAntiAffinity(term int, key string) {
	rule := plan.AntiAffinity{Roles: w.holders(term), Others: w.matching(term)}
	if len(rule.Roles) == 0 || len(rule.Others) == 0 {
		return
	}
	switch rule.Level = w.cache.LevelOf(key); {
	case key == v1.LabelHostname:
		rule.Level = plan.NodeLevel
	case rule.Level == "":
		rule.Level = w.labelDomains(key)
	}
	w.gang.AntiAffinity = append(w.gang.AntiAffinity, rule)
}

// addAffinity adds the planner's rule for the required pod affinity terms of some
// members. Terminating pods match these terms, too.
func (w *ruleWriter) addAffinity(term int) {
	rule := plan.Affinity{Roles: w.holders(term), Matching: w.matching(term)}
	if len(rule.Roles) == 0 {
		return
	}
	known := &w.terms.terms[term]
	for i := range known.near {
		rule.Levels = append(rule.Levels, w.labelDomains(known.near[i].TopologyKey))
	}
	for _, info := range w.nodes {
		matches := func(pod fwk.PodInfo) bool { return known.matches(pod.GetPod()) }
		if info.Node() != nil && slices.ContainsFunc(info.GetPods(), matches) {
			rule.Existing = append(rule.Existing, info.Node().Name)
		}
	}
	w.gang.Affinity = append(w.gang.Affinity, rule)
}

// limitPerNode sets Need.PerNode to one for roles whose members must be on different
// nodes.
func (w *ruleWriter) limitPerNode() {
	alone := map[string]bool{}
	for i := range w.gang.AntiAffinity {
		rule := &w.gang.AntiAffinity[i]
		if rule.Level != plan.NodeLevel {
			continue
		}
		holders := make(map[string]bool, len(rule.Roles))
		for _, name := range rule.Roles {
			holders[name] = true
		}
		for _, name := range rule.Others {
			alone[name] = alone[name] || holders[name]
		}
	}
	for r := range w.roles {
		if alone[w.roles[r].Name] {
			w.roles[r].Need.PerNode = 1
		}
	}
}

// labelDomains returns the name of a partition that divides the nodes with a label by the
// label's value. It adds the partition to the gang. It returns plan.NodeLevel instead if each
// node is a domain of its own.
func (w *ruleWriter) labelDomains(key string) string {
	return w.partition("label "+key, key, func(node *v1.Node) bool { _, ok := node.Labels[key]; return ok })
}

// partition adds a partition with this name to the gang, unless it exists. It divides the
// nodes for which has returns true by the value of the label key. partition returns the
// name, or plan.NodeLevel if each node is a domain of its own.
func (w *ruleWriter) partition(name, key string, has func(*v1.Node) bool) string {
	if slices.ContainsFunc(w.gang.Partitions, func(p plan.Partition) bool { return p.Name == name }) {
		return name
	}
	domains := make(map[string]string, len(w.nodes))
	hosts := key == v1.LabelHostname
	for _, info := range w.nodes {
		node := info.Node()
		if node == nil {
			continue
		}
		if !has(node) {
			hosts = false
			continue
		}
		domains[node.Name] = node.Labels[key]
		hosts = hosts && node.Labels[key] == node.Name
	}
	if hosts {
		return plan.NodeLevel
	}
	w.gang.Partitions = append(w.gang.Partitions, plan.Partition{Name: name, Domains: domains})
	return name
}

// withoutKnown returns the sample pod of a role (the pod that represents it) without the
// affinity and spread constraints that the planner's rules cover. The stock filters get
// this pod: they would compare the constraints with the cluster as it is, without the
// members that the plan places before this one.
func (t *podTerms) withoutKnown(role *roleInput) *v1.Pod {
	pod := role.sample
	if role.key.held == 0 {
		return pod
	}
	reduced := pod.DeepCopy()
	if i := t.affinity(pod); i >= 0 && role.key.held>>i&1 == 1 {
		reduced.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = nil
	}
	for j := range reduced.Spec.TopologySpreadConstraints {
		// The constraint stays, but only as a preference: a pod without any constraint
		// would get the default constraints of the stock filter.
		constraint := &reduced.Spec.TopologySpreadConstraints[j]
		if i := t.constraint(pod, &pod.Spec.TopologySpreadConstraints[j]); i >= 0 && role.key.held>>i&1 == 1 {
			constraint.WhenUnsatisfiable = v1.ScheduleAnyway
		}
	}
	return reduced
}
