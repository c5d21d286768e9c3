// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// The scheduler's PodGroup cycle does not begin before a group has its quorum of pods,
// and nobody says so: the scheduler writes of what it tried. So it is said here.

// standsInGroup is what there is to say of a PodGroup of scheduling.k8s.io that waits
// for members, its own or those of other groups of its hierarchy.
func (g *Gang) standsInGroup(key gangs.Key) standing {
	groups := g.handle.PodGroupManager()
	state, err := groups.PodGroupStates().Get(key.Namespace, key.Name)
	if err != nil {
		return standing{} // it has no pods
	}
	s := standing{}
	waiting := state.UnscheduledPods()
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		if waiting[name].Spec.SchedulerName == g.book.profile {
			s.pods = append(s.pods, waiting[name])
		}
	}
	if len(s.pods) == 0 {
		return s
	}
	if g.stillComing(s.pods) {
		g.report.later(key)
		return standing{}
	}
	if s.group, err = groups.PodGroups().Get(key.Namespace, key.Name); err != nil {
		s.sentence = "waiting for " + key.String() + ", which does not exist"
		return s
	}
	s.gang = gangs.PodGroupGang(s.group, nil)
	s.sentence = shortOfMembers(s.group, state.AllPodsCount())
	if s.sentence == "" && s.group.Spec.ParentCompositePodGroupName != nil {
		s.sentence = shortOfGroups(groups, fwk.PodGroupKey(key.Namespace, key.Name))
	}
	return s
}

// stillComing says that the youngest of the pods came a moment ago: while a controller
// creates pods there are too few of them, and a word on each would be a write for each.
func (g *Gang) stillComing(pods []*v1.Pod) bool {
	const clock = time.Second // is what creation is told in
	youngest := slices.MaxFunc(pods, func(a, b *v1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return time.Since(youngest.CreationTimestamp.Time) < g.args.ReportDelay+clock
}

// shortOfMembers says what a group of so many pods lacks for its quorum, "" if nothing.
func shortOfMembers(group *schedulingv1beta1.PodGroup, exist int) string {
	g := gangs.PodGroupGang(group, nil)
	if exist >= g.Min || g.MinField == "" {
		return ""
	}
	return fmt.Sprintf("waiting for %d of %d members: %s of %s is %d, and %d exist so far", g.Min-exist, g.Min, g.MinField, g.Key, g.Min, exist)
}

// shortOfGroups says what the hierarchy of a group lacks for its quorum, "" if nothing.
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

// groupReady says whether enough of what is in a group exists, and if not gives an
// example of what does not.
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

// noticeInGroup has it looked at whether the pod's PodGroup lacks members.
func (g *Gang) noticeInGroup(pod *v1.Pod) {
	if g.native && gangs.InPodGroup(pod) && pod.Spec.SchedulerName == g.book.profile {
		g.report.later(gangs.PodGroupKeyOf(pod))
	}
}

// onGroup writes the sentence as the PodGroup's condition, which the scheduler writes
// once it has tried the group; nil stands for none.
func (r *reporter) onGroup(ctx context.Context, group *schedulingv1beta1.PodGroup, sentence string) error {
	if group == nil || meta.IsStatusConditionTrue(group.Status.Conditions, schedulingv1beta1.PodGroupInitiallyScheduled) {
		return nil // it was placed once, which is all that the condition says
	}
	status := group.Status.DeepCopy()
	changed := meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: schedulingv1beta1.PodGroupInitiallyScheduled, Status: metav1.ConditionFalse, ObservedGeneration: group.Generation,
		Reason: schedulingv1beta1.PodGroupReasonUnschedulable, Message: sentence,
	})
	if !changed {
		return nil
	}
	// With the version that was read: the scheduler may have placed the group since.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": group.ResourceVersion}, "status": map[string]any{"conditions": status.Conditions},
	})
	if err != nil {
		return fmt.Errorf("encoding the condition of PodGroup %s/%s: %w", group.Namespace, group.Name, err)
	}
	_, err = r.handle.ClientSet().SchedulingV1beta1().PodGroups(group.Namespace).Patch(ctx, group.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	switch {
	case apierrors.IsConflict(err):
		r.later(gangs.PodGroupKey(group.Namespace, group.Name))
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("writing the condition of PodGroup %s/%s: %w", group.Namespace, group.Name, err)
	}
	return nil
}
