// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// CoschedulingGroup says how scheduler-plugins PodGroups are watched and read.
var CoschedulingGroup = Kind{
	Resource: schedv1alpha1.SchemeGroupVersion.WithResource("podgroups"),
	Name:     "PodGroup",
	Key:      gangs.CoschedulingKey,
	Trim:     trimPodGroup,
	Owner: func(object any) (gangs.Key, bool) {
		return gangs.CoschedulingOwner(object.(*schedv1alpha1.PodGroup))
	},
}

// CoschedulingGroup implements gangs.CoschedulingGroups. It returns the scheduler-plugins
// PodGroup of that name, which is shared and must not be changed.
func (w *Watcher) CoschedulingGroup(namespace, name string) (*schedv1alpha1.PodGroup, error) {
	return lookup[*schedv1alpha1.PodGroup](w, CoschedulingGroup, gangs.CoschedulingKey(namespace, name), namespace, name)
}

func trimPodGroup(u *unstructured.Unstructured) (any, error) {
	group := &schedv1alpha1.PodGroup{ObjectMeta: trimMeta(u)}
	pick := func(spec map[string]any) map[string]any { return pickFields(spec, "minMember") }
	if err := decodeSpec(u, &group.Spec, pick); err != nil {
		return nil, err
	}
	return group, nil
}
