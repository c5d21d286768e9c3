// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// RayJob has the settings to watch and read KubeRay's RayJobs. A RayJob declares no gang, but
// limits the run time of the gang that its RayCluster declares.
var RayJob = Kind{
	Resource: rayv1.GroupVersion.WithResource("rayjobs"),
	Name:     "RayJob",
	// Older manifests have a ClusterRole without the right to list RayJobs. The scheduler
	// must start with it.
	Optional: true,
	Key:      gangs.RayJobKey,
	Trim:     trimRayJob,
}

// RayJob implements gangs.RayJobs. It returns the RayJob of that name, which is shared and
// must not be changed. If there is none, the watcher reports the gang with key asks as
// changed when one appears.
func (w *Watcher) RayJob(asks gangs.Key, namespace, name string) (*rayv1.RayJob, error) {
	return lookup[*rayv1.RayJob](w, RayJob, asks, namespace, name)
}

func trimRayJob(u *unstructured.Unstructured) (any, error) {
	job := &rayv1.RayJob{ObjectMeta: trimMeta(u)}
	pick := func(spec map[string]any) map[string]any {
		return pickFields(spec, "activeDeadlineSeconds", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished")
	}
	if err := decodeSpec(u, &job.Spec, pick); err != nil {
		return nil, err
	}
	return job, nil
}
