// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
)

// extendedNames returns the names of all resources that the pod's containers request,
// sorted. The caller skips the resources, such as CPU, that no DeviceClass provides.
func extendedNames(pod *v1.Pod) []v1.ResourceName {
	names := map[v1.ResourceName]bool{}
	for _, containers := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			for name := range containers[i].Resources.Requests {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// extendedCount returns how many devices the stock scheduler requests for an extended
// resource of the pod. Each container that runs for the lifetime of the pod has its own
// devices. Init containers run earlier and use the devices of later containers.
// extendedCount adds the most that an init container needs beyond these.
func extendedCount(pod *v1.Pod, name v1.ResourceName) int64 {
	containers := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	var later, shortage int64
	for i := len(containers) - 1; i >= 0; i-- {
		quantity := containers[i].Resources.Requests[name]
		wanted := quantity.Value()
		if i < len(pod.Spec.InitContainers) && !isSidecar(&containers[i]) {
			shortage = max(shortage, wanted-later)
			continue
		}
		later += wanted
	}
	return later + shortage
}

func isSidecar(container *v1.Container) bool {
	return container.RestartPolicy != nil && *container.RestartPolicy == v1.ContainerRestartPolicyAlways
}
