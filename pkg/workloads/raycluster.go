// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// RayCluster says how KubeRay's RayClusters are watched and read.
var RayCluster = Kind{
	Resource: rayv1.GroupVersion.WithResource("rayclusters"),
	Name:     "RayCluster",
	Key:      gangs.RayClusterKey,
	Trim:     trimRayCluster,
	Owner:    func(object any) (gangs.Key, bool) { return gangs.RayJobOf(object.(*rayv1.RayCluster)) },
}

// RayCluster implements gangs.RayClusters. It returns the RayCluster of that name, which
// is shared and must not be changed.
func (w *Watcher) RayCluster(namespace, name string) (*rayv1.RayCluster, error) {
	return lookup[*rayv1.RayCluster](w, RayCluster, gangs.RayClusterKey(namespace, name), namespace, name)
}

// trimRayCluster decodes a RayCluster without its pod templates. The templates are nearly
// all of the object, and the pods themselves show their content. Of a template it keeps
// only the fields that the PodGroup of the cluster is made from.
func trimRayCluster(u *unstructured.Unstructured) (any, error) {
	cluster := &rayv1.RayCluster{ObjectMeta: trimMeta(u)}
	if err := decodeSpec(u, &cluster.Spec, pickRaySpec); err != nil {
		return nil, err
	}
	head := &cluster.Spec.HeadGroupSpec
	head.Labels = podGroupRequest(u.Object, "spec", "headGroupSpec", "labels")
	head.Template = trimTemplate(u.Object, "spec", "headGroupSpec", "template")
	field, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "workerGroupSpecs")
	groups, _ := field.([]any)
	for i := range cluster.Spec.WorkerGroupSpecs {
		group, _ := groups[i].(map[string]any)
		cluster.Spec.WorkerGroupSpecs[i].Labels = podGroupRequest(group, "labels")
		cluster.Spec.WorkerGroupSpecs[i].Template = trimTemplate(group, "template")
	}
	return cluster, nil
}

func pickRaySpec(spec map[string]any) map[string]any {
	picked := pickFields(spec, "suspend", "enableInTreeAutoscaling", "workerGroupSpecs")
	return pickEach(picked, "workerGroupSpecs", func(group map[string]any) map[string]any {
		return pickFields(group, "groupName", "suspend", "replicas", "minReplicas", "maxReplicas", "numOfHosts")
	})
}
