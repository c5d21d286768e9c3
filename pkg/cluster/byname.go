// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import v1 "k8s.io/api/core/v1"

// ByName returns the pods in a map with keys "namespace/name": the argument of a framework
// handle's method Activate.
func ByName(pods ...*v1.Pod) map[string]*v1.Pod {
	byName := make(map[string]*v1.Pod, len(pods))
	for _, pod := range pods {
		byName[pod.Namespace+"/"+pod.Name] = pod
	}
	return byName
}
