// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// newGroup returns the PodGroup to create for the owner of a gang: the RayCluster or JobSet
// whose pods must start together. The owner reference does not set blockOwnerDeletion, which
// would need a permission on the owner.
func newGroup(gang gangs.Gang, wish gangs.PodGroupWish) *schedulingv1beta1.PodGroup {
	owner := gang.Owner
	group := &schedulingv1beta1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.Namespace,
			Name:      gangs.PodGroupName(owner.Name, owner.UID),
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID, Controller: new(true),
			}},
		},
		Spec: schedulingv1beta1.PodGroupSpec{
			SchedulingPolicy: schedulingv1beta1.PodGroupSchedulingPolicy{
				Gang: &schedulingv1beta1.GangSchedulingPolicy{MinCount: minCount(gang)},
			},
			PriorityClassName: wish.PriorityClass,
		},
	}
	for _, wanted := range wishesOf(gang) {
		if wanted.value != "" {
			metav1.SetMetaDataAnnotation(&group.ObjectMeta, wanted.annotation, wanted.value)
		}
	}
	return group
}

// minCount returns the gang's quorum (the number of members that must start together),
// limited to the range of the API field.
func minCount(gang gangs.Gang) int32 {
	return int32(min(gang.Min, math.MaxInt32))
}

type annotated struct{ annotation, value string }

// wishesOf returns the annotations for the PodGroup with the gang's topology constraints, its
// device alignment and its run time. The topology constraints stay annotations, because they
// name levels of the network that Dovetail's configuration lists. A topology constraint in the
// API takes a node label key, cannot be changed later, and cannot express a preference.
func wishesOf(gang gangs.Gang) []annotated {
	return []annotated{
		{gangs.RequiredAnnotation, gang.Topology.Required},
		{gangs.PreferredAnnotation, gang.Topology.Preferred},
		{gangs.AlignmentAnnotation, gang.Topology.Alignment},
		{gangs.TimeLimitAnnotation, durationText(gang.RunTime.Limit.Duration)},
		{gangs.CheckpointAnnotation, durationText(gang.RunTime.Checkpoint)},
		{gangs.MinRuntimeAnnotation, durationText(gang.RunTime.Minimum)},
	}
}

// durationText returns the value of an annotation for a duration, "" for 0, which stands for no
// annotation.
func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// unlikeOurs compares an existing PodGroup with the one that the owner of the gang requests.
// problem is a sentence about a difference that cannot be corrected, or "". ours reports
// whether the reconciler may correct the differences that can be.
func unlikeOurs(gang gangs.Gang, wish gangs.PodGroupWish, group *schedulingv1beta1.PodGroup) (problem string, ours bool) {
	switch controller := metav1.GetControllerOfNoCopy(group); {
	case controller == nil || controller.UID != gang.UID:
		return fmt.Sprintf("PodGroup %s exists and is not of %s %s: it is left alone", group.Name, gang.Owner.Kind, gang.Owner.Name), false
	case group.DeletionTimestamp != nil:
		return fmt.Sprintf("PodGroup %s is being deleted, while pods are in it: another is made when it is gone", group.Name), false
	case group.Spec.SchedulingPolicy.Gang == nil:
		return fmt.Sprintf("PodGroup %s has another policy than gang, which cannot be changed", group.Name), false
	case wish.PriorityClass != "" && group.Spec.PriorityClassName != wish.PriorityClass:
		return fmt.Sprintf("PodGroup %s has priority class %q, which cannot be changed; pods of class %q are not scheduled with it",
			group.Name, group.Spec.PriorityClassName, wish.PriorityClass), true
	}
	return "", true
}

// groupChange returns the merge patch that corrects the group, or nil if nothing differs.
// The patch contains the group's UID, so that it fails for another group of the same name.
func groupChange(gang gangs.Gang, group *schedulingv1beta1.PodGroup) ([]byte, error) {
	meta, change := map[string]any{"uid": group.UID}, map[string]any{}
	if least := minCount(gang); group.Spec.SchedulingPolicy.Gang.MinCount != least {
		change["spec"] = map[string]any{"schedulingPolicy": map[string]any{"gang": map[string]any{"minCount": least}}}
	}
	annotations := map[string]any{}
	for _, wanted := range wishesOf(gang) {
		has, ok := group.Annotations[wanted.annotation]
		switch {
		case wanted.value == "" && ok:
			annotations[wanted.annotation] = nil
		case wanted.value != has:
			annotations[wanted.annotation] = wanted.value
		}
	}
	if len(annotations) > 0 {
		meta["annotations"] = annotations
	} else if len(change) == 0 {
		return nil, nil
	}
	change["metadata"] = meta
	text, err := json.Marshal(change)
	if err != nil {
		return nil, fmt.Errorf("encoding the change of PodGroup %s/%s: %w", group.Namespace, group.Name, err)
	}
	return text, nil
}
