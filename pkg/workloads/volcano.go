// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// VolcanoPodGroup says how Volcano's PodGroups are watched and read.
var VolcanoPodGroup = Kind{
	Resource: resourceOf(gangs.VolcanoAPIVersion, "podgroups"),
	Name:     "PodGroup",
	Key:      gangs.VolcanoKey,
	Trim:     trimVolcanoPodGroup,
	Owner: func(object any) (gangs.Key, bool) {
		return gangs.VolcanoOwner(object.(*gangs.VolcanoPodGroup))
	},
}

// VolcanoPodGroup implements gangs.VolcanoPodGroups. It returns the Volcano PodGroup of
// that name, which is shared and must not be changed.
func (w *Watcher) VolcanoPodGroup(namespace, name string) (*gangs.VolcanoPodGroup, error) {
	return lookup[*gangs.VolcanoPodGroup](w, VolcanoPodGroup, gangs.VolcanoKey(namespace, name), namespace, name)
}

func trimVolcanoPodGroup(u *unstructured.Unstructured) (any, error) {
	group := &gangs.VolcanoPodGroup{ObjectMeta: trimMeta(u)}
	pick := func(spec map[string]any) map[string]any { return pickFields(spec, "minMember", "minTaskMember") }
	if err := decodeSpec(u, &group.Spec, pick); err != nil {
		return nil, err
	}
	return group, nil
}
