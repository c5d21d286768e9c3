// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// declaredByRayCluster reads the minimum of a RayCluster (the pods that must be bound together,
// by role) from its raw object.
func declaredByRayCluster(cluster *unstructured.Unstructured) declaration {
	suspended, _, _ := unstructured.NestedBool(cluster.Object, "spec", "suspend")
	autoscaled, _, _ := unstructured.NestedBool(cluster.Object, "spec", "enableInTreeAutoscaling")
	groups, _, _ := unstructured.NestedSlice(cluster.Object, "spec", "workerGroupSpecs")
	least := quorum{headRole: 1}
	for _, item := range groups {
		spec, isObject := item.(map[string]any)
		if !isObject {
			continue
		}
		name, _, _ := unstructured.NestedString(spec, "groupName")
		if members := workersNeeded(spec, autoscaled); members > 0 {
			least[role(name)] = members
		}
	}
	return declaration{least: least, ended: suspended || cluster.GetDeletionTimestamp() != nil}
}

// workersNeeded returns the minimum of a worker group: the replicas that KubeRay
// creates, or the minReplicas if the Ray autoscaler is on.
func workersNeeded(group map[string]any, autoscaled bool) int64 {
	if suspended, _, _ := unstructured.NestedBool(group, "suspend"); suspended {
		return 0
	}
	fewest := number(group, "minReplicas", 0)
	most := number(group, "maxReplicas", math.MaxInt32)
	replicas := max(number(group, "replicas", 0), fewest)
	if autoscaled {
		replicas = fewest
	}
	return min(replicas, most) * max(1, number(group, "numOfHosts", 1))
}

// declaredByCoscheduling reads the minimum of a scheduler-plugins PodGroup.
func declaredByCoscheduling(group *unstructured.Unstructured) declaration {
	spec, _, _ := unstructured.NestedMap(group.Object, "spec")
	return declaration{
		least: quorum{anyRole: number(spec, "minMember", 0)},
		ended: group.GetDeletionTimestamp() != nil,
	}
}

// declaredByPodGroup reads the minimum of a PodGroup of Kubernetes itself, which is 0
// with the basic policy.
func declaredByPodGroup(group *unstructured.Unstructured) declaration {
	gang, _, _ := unstructured.NestedMap(group.Object, "spec", "schedulingPolicy", "gang")
	_, single, _ := unstructured.NestedMap(group.Object, "spec", "disruptionMode", "single")
	return declaration{
		least:  quorum{anyRole: number(gang, "minCount", 0)},
		ended:  group.GetDeletionTimestamp() != nil,
		parent: parentOf(group),

		oneByOne: single,
	}
}

// declaredByJob reads the minimum of a Job: the smaller of its parallelism and the
// completions that are left.
func declaredByJob(job *unstructured.Unstructured) declaration {
	spec, _, _ := unstructured.NestedMap(job.Object, "spec")
	status, _, _ := unstructured.NestedMap(job.Object, "status")
	suspended, _, _ := unstructured.NestedBool(spec, "suspend")
	least, done := number(spec, "parallelism", 1), number(status, "succeeded", 0)
	if completions := number(spec, "completions", -1); completions >= 0 {
		least = min(least, completions-done)
	} else {
		least -= done // Such a Job creates no new pod after the first success.
	}
	return declaration{
		least: quorum{anyRole: max(0, least)},
		ended: suspended || job.GetDeletionTimestamp() != nil,
	}
}

// number returns an integer field of a raw object, or unset.
func number(object map[string]any, field string, unset int64) int64 {
	value, found, err := unstructured.NestedInt64(object, field)
	if !found || err != nil {
		return unset
	}
	return value
}

func parentOf(u *unstructured.Unstructured) string {
	name, _, _ := unstructured.NestedString(u.Object, "spec", "parentCompositePodGroupName")
	return name
}
