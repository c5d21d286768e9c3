// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package evict

import (
	"cmp"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Unit is a set of running pods that leave together, or not at all.
type Unit struct {
	// Name identifies the unit: the gang, or a pod as "pod NAMESPACE/NAME".
	Name string
	// Gang is the gang of the pods, zero for a pod without a gang.
	Gang gangs.Key
	Pods []cluster.RunningPod
	// After names the units that must leave before this one: the members of the gang beyond
	// its minimum.
	After []string
	// Priority is the highest priority of the pods, or of the whole gang for its last members.
	Priority int32
	// Leaving is true if the pods are being deleted already.
	Leaving bool
	// Broken counts the gangs that do not run any more without the unit. Unowned counts the
	// pods that no controller replaces. Restarts counts what starts anew: a gang or a pod.
	Broken, Unowned, Restarts int64
	// Lost is the run time whose work is lost.
	Lost time.Duration
	// Breaches is the number of pods beyond what PodDisruptionBudgets allow to evict.
	Breaches int64
	// Protected explains why the unit may not be evicted, as half a sentence, "" if it may.
	Protected string
	// budgets counts the pods by the index of their PodDisruptionBudget.
	budgets map[int]int
}

// Units are the units that matter to a preemptor.
type Units struct {
	// List has the units that may leave, those that are leaving included. Protected has those
	// of lower priority that may not.
	List, Protected []Unit
	// Unsettled is true if pods of lower priority are being bound. They may be evicted later.
	Unsettled bool
	budgets   []*policyv1.PodDisruptionBudget
}

// Units returns the units on the nodes with a lower priority than the given one, and all pods
// that are leaving. exclude is the preemptor's own gang.
func (r *Rules) Units(nodes []fwk.NodeInfo, priority int32, exclude gangs.Key, budgets []*policyv1.PodDisruptionBudget, now time.Time) Units {
	c := collector{rules: r, now: now, priority: priority, running: map[gangs.Key][]cluster.RunningPod{}, members: map[gangs.Key][]gangs.Member{}}
	c.out.budgets = budgets
	c.none = noneBelow(nodes, priority)
	for _, node := range nodes {
		if node.Node() == nil {
			continue
		}
		for _, info := range node.GetPods() {
			c.add(cluster.RunningPod{Info: info, Node: node}, exclude)
		}
	}
	keys := make([]gangs.Key, 0, len(c.members))
	for key := range c.members {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, gangs.CompareKeys)
	for _, key := range keys {
		c.addGang(key)
	}
	matchBudgets(&c.out, r.PreferBudgets)
	return c.out
}

// noneBelow reports whether no pod on the nodes has a priority below the given one. Most clusters
// have few priorities, and this is much faster than to read the gangs of all pods.
func noneBelow(nodes []fwk.NodeInfo, priority int32) bool {
	return !slices.ContainsFunc(nodes, func(node fwk.NodeInfo) bool {
		return slices.ContainsFunc(node.GetPods(), func(pod fwk.PodInfo) bool { return priorityOf(pod.GetPod()) < priority })
	})
}

// collector collects the units of all nodes.
type collector struct {
	rules    *Rules
	now      time.Time
	priority int32
	// none is true if no pod has a lower priority: then only leaving pods matter.
	none bool
	out  Units
	// running has the live pods of each gang, members the same pods as members.
	running map[gangs.Key][]cluster.RunningPod
	members map[gangs.Key][]gangs.Member
}

// add sorts a pod: into its gang, or as a unit of its own.
func (c *collector) add(pod cluster.RunningPod, exclude gangs.Key) {
	object := pod.Info.GetPod()
	if object.DeletionTimestamp != nil {
		if Leaving(object, c.now) {
			c.out.List = append(c.out.List, Unit{Name: podName(object), Pods: []cluster.RunningPod{pod}, Priority: priorityOf(object), Leaving: true})
		}
		return
	}
	if c.none {
		return
	}
	if m, ok := c.rules.Reader.Member(object); ok {
		if m.Key != exclude {
			c.members[m.Key] = append(c.members[m.Key], m)
			c.running[m.Key] = append(c.running[m.Key], pod)
		}
		return
	}
	if priorityOf(object) < c.priority && !c.rules.immovable(object) {
		unit := single(pod, c.rules.annotated(object), c.now)
		unit.Restarts = 1
		unit.Protected = cmp.Or(unit.Protected, c.rules.tooYoung(gangs.PodStart(object), gangs.PodRunTime(object).Minimum, c.now))
		c.offer(unit)
	}
}

// single returns a unit of one pod.
func single(pod cluster.RunningPod, protected string, now time.Time) Unit {
	object := pod.Info.GetPod()
	return Unit{
		Name: podName(object), Pods: []cluster.RunningPod{pod}, Priority: priorityOf(object), Unowned: unowned(object),
		Lost: lost(gangs.PodStart(object), gangs.PodRunTime(object).Checkpoint, now), Protected: protected,
	}
}

// lost returns how much of the work since the start is lost by an eviction.
func lost(started time.Time, checkpoint time.Duration, now time.Time) time.Duration {
	if started.IsZero() {
		return 0
	}
	elapsed := max(0, now.Sub(started))
	if checkpoint > 0 {
		return min(elapsed, checkpoint)
	}
	return elapsed
}

// unowned returns 1 for a pod that no controller replaces.
func unowned(pod *v1.Pod) int64 {
	if metav1.GetControllerOf(pod) == nil {
		return 1
	}
	return 0
}

func podName(pod *v1.Pod) string { return "pod " + pod.Namespace + "/" + pod.Name }

// offer adds a unit to the list, or to the protected ones. It leaves out a unit with a pod that
// is being bound.
func (c *collector) offer(unit Unit) {
	for i := range unit.Pods {
		if bound := c.rules.Bound; bound != nil && !bound(unit.Pods[i].Info.GetPod()) {
			c.out.Unsettled = true
			return
		}
	}
	if c.rules.Spared != nil {
		unit.Protected = cmp.Or(unit.Protected, c.rules.Spared(unit.Name))
	}
	if c.rules.Recent != nil && c.rules.Recent(unit.Name) {
		unit.Broken++
	}
	if unit.Protected != "" {
		c.out.Protected = append(c.out.Protected, unit)
		return
	}
	c.out.List = append(c.out.List, unit)
}

// addGang adds the units of a gang: its members beyond the minimum one by one, and the others
// together. In a PodGroup whose members may be disrupted one by one, each member is a unit.
func (c *collector) addGang(key gangs.Key) {
	g := gangUnits{collector: c, key: key, members: c.members[key], running: c.running[key]}
	if lowest, _ := g.priorities(); lowest >= c.priority {
		return
	}
	var err error
	g.gang, err = c.rules.Reader.Gang(key, g.members)
	g.started, g.least = firstStart(g.members), g.gang.RunTimeWith(g.members).Minimum
	declared := err == nil && g.gang.Problem == ""
	extra := make([]bool, len(g.members))
	var names []string
	if declared {
		names = g.addSurplus(extra)
	}
	var rest []int
	for i := range g.members {
		if !extra[i] {
			rest = append(rest, i)
		}
	}
	switch {
	case len(rest) == 0:
	case declared && g.gang.Single:
		g.addSingles(rest)
	default:
		g.addWhole(rest, names)
	}
}

// gangUnits makes the units of one gang.
type gangUnits struct {
	*collector
	key     gangs.Key
	gang    gangs.Gang
	members []gangs.Member
	running []cluster.RunningPod
	// started is the first start of a member, least the minimum run time that the gang asks for.
	started time.Time
	least   time.Duration
}

// priorities returns the lowest and the highest priority of the members.
func (g *gangUnits) priorities() (lowest, highest int32) {
	lowest, highest = priorityOf(g.members[0].Pod), priorityOf(g.members[0].Pod)
	for _, m := range g.members {
		lowest, highest = min(lowest, priorityOf(m.Pod)), max(highest, priorityOf(m.Pod))
	}
	return lowest, highest
}

// addSurplus adds the units of the members beyond the minimum, marks these members in extra, and
// returns the names of the units.
func (g *gangUnits) addSurplus(extra []bool) []string {
	var names []string
	for _, group := range surplusOf(&g.gang, g.members) {
		unit := g.gangUnit(g.key, group, g.members, g.running)
		for _, i := range group {
			extra[i] = true
		}
		names = append(names, unit.Name)
		if g.movable(&unit) && unit.Priority < g.priority {
			g.offer(unit)
		}
	}
	return names
}

// addSingles adds a unit for each member. The gang does not run any more without it.
func (g *gangUnits) addSingles(rest []int) {
	for _, i := range rest {
		unit := g.gangUnit(g.key, []int{i}, g.members, g.running)
		unit.Broken = 1
		unit.Protected = cmp.Or(unit.Protected, g.rules.tooYoung(g.started, g.least, g.now))
		if g.movable(&unit) && unit.Priority < g.priority {
			g.offer(unit)
		}
	}
}

// addWhole adds the members of the minimum as one unit. names are the units that leave before it.
func (g *gangUnits) addWhole(rest []int, names []string) {
	whole := g.gangUnit(g.key, rest, g.members, g.running)
	_, highest := g.priorities()
	whole.Name, whole.Priority, whole.Broken, whole.Restarts = "gang "+g.key.String(), highest, 1, 1
	whole.Lost = lost(g.started, g.gang.RunTimeWith(g.members).Checkpoint, g.now)
	whole.Protected = cmp.Or(whole.Protected, g.rules.tooYoung(g.started, g.least, g.now))
	if whole.Priority >= g.priority || !g.movable(&whole) {
		return
	}
	if whole.After = g.listed(names); len(whole.After) < len(names) {
		return // a member beyond the minimum stays, so the gang cannot leave whole
	}
	g.offer(whole)
}

// listed returns those of the units that may leave.
func (c *collector) listed(names []string) []string {
	var out []string
	for _, name := range names {
		if slices.ContainsFunc(c.out.List, func(u Unit) bool { return u.Name == name }) {
			out = append(out, name)
		}
	}
	return out
}

// movable reports whether all pods of a unit may be evicted at all.
func (c *collector) movable(unit *Unit) bool {
	return !slices.ContainsFunc(unit.Pods, func(p cluster.RunningPod) bool { return c.rules.immovable(p.Info.GetPod()) })
}

// gangUnit returns a unit of some members of a gang, named after the first of them.
func (c *collector) gangUnit(key gangs.Key, group []int, members []gangs.Member, running []cluster.RunningPod) Unit {
	first := members[group[0]].Pod
	unit := Unit{Name: podName(first), Gang: key, Priority: priorityOf(first)}
	for _, i := range group {
		pod := members[i].Pod
		unit.Pods = append(unit.Pods, running[i])
		unit.Priority = max(unit.Priority, priorityOf(pod))
		unit.Unowned += unowned(pod)
		unit.Lost = max(unit.Lost, lost(gangs.PodStart(pod), gangs.PodRunTime(pod).Checkpoint, c.now))
		unit.Protected = cmp.Or(unit.Protected, c.rules.annotated(pod))
	}
	return unit
}

// firstStart returns the first start of a member, zero if none has started.
func firstStart(members []gangs.Member) time.Time {
	first := time.Time{}
	for _, m := range members {
		if start := gangs.PodStart(m.Pod); !start.IsZero() && (first.IsZero() || start.Before(first)) {
			first = start
		}
	}
	return first
}
