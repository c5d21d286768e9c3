// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/test/demo/picture"
)

// gang is a workload of the demo. The notebooks count as a gang here, although their pods are
// in no gang for Dovetail.
type gang struct {
	letter picture.Letter
	kind   string
	name   string
	// has reports whether the pod is a member, by the labels that a user would select.
	has func(seen *observation, pod *v1.Pod) bool
}

func (g gang) String() string { return g.kind + " " + g.name }

const (
	rayClusterLabel = "ray.io/cluster"
	podGroupLabel   = "scheduling.x-k8s.io/pod-group"
	appLabel        = "app"
)

var (
	pretrain = gang{'A', "RayJob", "pretrain", func(seen *observation, pod *v1.Pod) bool {
		return seen.rayJobs[pod.Labels[rayClusterLabel]] == "pretrain"
	}}
	finetune = gang{'B', "RayCluster", "finetune", func(_ *observation, pod *v1.Pod) bool {
		return pod.Labels[rayClusterLabel] == "finetune"
	}}
	serve = gang{'C', "PodGroup", "serve", func(_ *observation, pod *v1.Pod) bool {
		return pod.Labels[podGroupLabel] == "serve"
	}}
	notebooks = gang{'D', "StatefulSet", "notebooks", func(_ *observation, pod *v1.Pod) bool {
		return pod.Labels[appLabel] == "notebooks"
	}}
	evaluate = gang{'E', "RayCluster", "evaluate", func(_ *observation, pod *v1.Pod) bool {
		return pod.Labels[rayClusterLabel] == "evaluate"
	}}
)

// gangs lists all gangs, in the order of the table below the picture.
var gangs = []gang{pretrain, finetune, serve, notebooks, evaluate}
