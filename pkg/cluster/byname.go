// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import v1 "k8s.io/api/core/v1"

// NameOf returns the key of a pod in a map of ByName: "namespace/name".
func NameOf(pod *v1.Pod) string { return pod.Namespace + "/" + pod.Name }

// ByName returns the pods in a map with the keys of NameOf: the argument of a framework
// handle's method Activate.
func ByName(pods ...*v1.Pod) map[string]*v1.Pod {
	byName := make(map[string]*v1.Pod, len(pods))
	for _, pod := range pods {
		byName[NameOf(pod)] = pod
	}
	return byName
}
