// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// PodGroup says how PodGroups of scheduling.k8s.io are watched and read.
var PodGroup = Kind{
	Resource: schedulingv1beta1.SchemeGroupVersion.WithResource("podgroups"),
	Name:     "PodGroup",
	BuiltIn:  true,
	Key:      gangs.PodGroupKey,
	Trim:     trimSchedulingGroup,
}

// PodGroup implements gangs.PodGroups. It returns the scheduling.k8s.io PodGroup of that
// name, which is shared and must not be changed.
func (w *Watcher) PodGroup(namespace, name string) (*schedulingv1beta1.PodGroup, error) {
	return lookup[*schedulingv1beta1.PodGroup](w, PodGroup, gangs.PodGroupKey(namespace, name), namespace, name)
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
