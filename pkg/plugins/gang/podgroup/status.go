// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/report"
)

// The scheduler starts no PodGroup cycle before a group has its quorum (enough pods to
// start), and it writes only about groups that it tried. This file reports what an
// incomplete group lacks.

// Status returns what the reporter writes to the pods and the owner of a PodGroup that waits
// for its own members or for other groups of its hierarchy. It is empty, so that nothing is
// written, for a group without waiting pods or with pods too young for a report.
func (c *Cycle) Status(key gangs.Key) report.Status {
	groups := c.Handle.PodGroupManager()
	state, err := groups.PodGroupStates().Get(key.Namespace, key.Name)
	if err != nil {
		return report.Status{} // the group has no pods
	}
	status := report.Status{}
	status.Incomplete = true
	waiting := state.UnscheduledPods()
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		if waiting[name].Spec.SchedulerName == c.Handle.ProfileName() {
			status.Pods = append(status.Pods, waiting[name])
		}
	}
	if len(status.Pods) == 0 {
		return status
	}
	if c.stillCreated(status.Pods) {
		c.Host.Report(key)
		return report.Status{}
	}
	if status.PodGroup, err = groups.PodGroups().Get(key.Namespace, key.Name); err != nil {
		status.PodGroup = nil
		status.Sentence = "waiting for " + key.String() + ", which does not exist"
		return status
	}
	status.Gang = gangs.PodGroupGang(status.PodGroup, nil)
	status.Sentence = shortOfMembers(status.PodGroup, state.AllPodsCount())
	if status.Sentence == "" && status.PodGroup.Spec.ParentCompositePodGroupName != nil {
		status.Sentence = shortOfGroups(groups, fwk.PodGroupKey(key.Namespace, key.Name))
	}
	return status
}

// stillCreated reports whether the youngest pod is younger than the report delay. While a
// controller creates pods, the group is incomplete, and each sentence would cost a write
// per pod.
func (c *Cycle) stillCreated(pods []*v1.Pod) bool {
	const clock = time.Second // the resolution of creationTimestamp
	youngest := slices.MaxFunc(pods, func(a, b *v1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return time.Since(youngest.CreationTimestamp.Time) < c.ReportDelay+clock
}

// shortOfMembers returns what a group of exist pods lacks for its quorum, "" if nothing.
func shortOfMembers(group *schedulingv1beta1.PodGroup, exist int) string {
	g := gangs.PodGroupGang(group, nil)
	if exist >= g.Min || g.MinField == "" {
		return ""
	}
	return fmt.Sprintf("waiting for %d of %d members: %s of %s is %d, and %d exist so far", g.Min-exist, g.Min, g.MinField, g.Key, g.Min, exist)
}

// shortOfGroups returns what the group's hierarchy lacks for its quorum, "" if nothing.
func shortOfGroups(groups fwk.PodGroupManager, key fwk.EntityKey) string {
	root, ok, err := groups.GetRootKeyForGroup(key)
	if err != nil || !ok {
		return fmt.Sprintf("waiting for the CompositePodGroups above PodGroup %s/%s, which do not all exist", key.Namespace, key.Name)
	}
	if root.Type != fwk.CompositePodGroupKeyType {
		return ""
	}
	ready, example := groupReady(groups, root)
	if ready {
		return ""
	}
	return fmt.Sprintf("waiting for groups of %s %s/%s%s", gangs.CompositeSource, root.Namespace, root.Name, example)
}

// groupReady reports whether a group has enough members and subgroups. If not, it returns
// an example of what is missing.
func groupReady(groups fwk.PodGroupManager, key fwk.EntityKey) (ready bool, example string) {
	if key.Type == fwk.PodGroupKeyType {
		group, err := groups.PodGroups().Get(key.Namespace, key.Name)
		if err != nil {
			return false, fmt.Sprintf(": PodGroup %s does not exist", key.Name)
		}
		exist := 0
		if state, err := groups.PodGroupStates().Get(key.Namespace, key.Name); err == nil {
			exist = state.AllPodsCount()
		}
		least := gangs.PodGroupGang(group, nil).Min
		return exist >= least, fmt.Sprintf(": %d of the %d members that PodGroup %s needs exist so far", exist, least, key.Name)
	}
	composite, err := groups.CompositePodGroups().Get(key.Namespace, key.Name)
	if err != nil {
		return false, fmt.Sprintf(": CompositePodGroup %s does not exist", key.Name)
	}
	met, children := 0, []fwk.EntityKey(nil)
	if state, err := groups.CompositePodGroupStates().Get(key.Namespace, key.Name); err == nil {
		children = slices.SortedFunc(slices.Values(state.GetChildren()), func(a, b fwk.EntityKey) int { return cmp.Compare(a.Name, b.Name) })
	}
	for _, child := range children {
		ok, lack := groupReady(groups, child)
		if ok {
			met++
		} else {
			example = cmp.Or(example, lack)
		}
	}
	least := gangs.CompositeGang(composite).MinGroups
	if met < least && example == "" {
		example = fmt.Sprintf(": it needs %d groups, and has %d", least, len(children))
	}
	return met >= least, example
}
