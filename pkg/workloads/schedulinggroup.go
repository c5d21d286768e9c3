// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// SchedulingGroup is the PodGroup of Kubernetes itself.
var SchedulingGroup = Kind{
	Resource: schedulingv1beta1.SchemeGroupVersion.WithResource("podgroups"),
	Name:     "PodGroup",
	BuiltIn:  true,
	Key:      gangs.SchedulingGroupKey,
	Trim:     trimSchedulingGroup,
}

// SchedulingGroup returns the scheduling.k8s.io PodGroup of that name; see
// gangs.SchedulingGroups. The object is shared and must not be changed.
func (w *Watcher) SchedulingGroup(namespace, name string) (*schedulingv1beta1.PodGroup, error) {
	return lookup[*schedulingv1beta1.PodGroup](w, SchedulingGroup, gangs.SchedulingGroupKey(namespace, name), name)
}

func trimSchedulingGroup(u *unstructured.Unstructured) (any, error) {
	group := &schedulingv1beta1.PodGroup{ObjectMeta: trimMeta(u)}
	pick := func(spec map[string]any) map[string]any {
		return pickFields(spec, "schedulingPolicy", "schedulingConstraints", "parentCompositePodGroupName", "resourceClaims", "priorityClassName")
	}
	if err := decodeSpec(u, &group.Spec, pick); err != nil {
		return nil, err
	}
	return group, nil
}
