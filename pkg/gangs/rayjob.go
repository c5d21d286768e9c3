// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"time"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rayJobSource is the Key.Source of RayJobs. A RayJob declares no gang. The RayCluster that it
// makes declares one, and the RayJob only limits the run time of that gang.
const rayJobSource = "rayjob"

// RayJobs looks up RayJobs. The objects have only their metadata and, of the spec,
// activeDeadlineSeconds, shutdownAfterJobFinishes and ttlSecondsAfterFinished. asks is the key
// of the gang for which a RayJob is looked up.
type RayJobs interface {
	RayJob(asks Key, namespace, name string) (*rayv1.RayJob, error)
}

// RayClusterObjects looks up RayClusters and the RayJobs that made them.
type RayClusterObjects interface {
	RayClusters
	RayJobs
}

// RayJobKey returns a key for the RayJob of that name. No gang has this key.
func RayJobKey(namespace, name string) Key {
	return Key{Source: rayJobSource, Namespace: namespace, Name: name}
}

// RayJobOf returns the key of the RayJob that made the RayCluster. It returns false if no RayJob
// made it.
func RayJobOf(cluster *rayv1.RayCluster) (Key, bool) {
	ref := rayJobRef(cluster)
	if ref == nil {
		return Key{}, false
	}
	return RayJobKey(cluster.Namespace, ref.Name), true
}

func rayJobRef(cluster *rayv1.RayCluster) *metav1.OwnerReference {
	ref := metav1.GetControllerOfNoCopy(cluster)
	if ref == nil || !refersTo(ref, rayv1.GroupVersion.Group, "RayJob") {
		return nil
	}
	return ref
}

// gangOfRayCluster returns the gang that a RayCluster describes. of is the key of the gang that
// the RayCluster itself declares, and key is the key of the returned gang. The gang's run time
// includes the values of the RayJob that made the RayCluster, if Dovetail can read the RayJob.
func gangOfRayCluster(key, of Key, objects RayClusterObjects) (Gang, error) {
	cluster, err := objects.RayCluster(of.Namespace, of.Name)
	if err != nil {
		return Gang{}, err
	}
	g := rayGang(key, cluster)
	g.Controls = true
	ref := rayJobRef(cluster)
	if ref == nil {
		return g, nil
	}
	if job, err := objects.RayJob(of, cluster.Namespace, ref.Name); err == nil && job.UID == ref.UID {
		name := RayJobKey(job.Namespace, job.Name).String()
		g.RunTime = g.RunTime.and(runTimeOf(&job.ObjectMeta, name, rayJobDeadline(job, name)))
	}
	return g, nil
}

// rayJobDeadline returns the time after which KubeRay has deleted the RayCluster of a RayJob:
// activeDeadlineSeconds and ttlSecondsAfterFinished together. It returns no limit without
// shutdownAfterJobFinishes: then the pods stay when the RayJob fails at its deadline.
func rayJobDeadline(job *rayv1.RayJob, object string) Limit {
	if job.Spec.ActiveDeadlineSeconds == nil || !job.Spec.ShutdownAfterJobFinishes {
		return Limit{}
	}
	seconds := int64(*job.Spec.ActiveDeadlineSeconds)
	limit := deadlineOf(&seconds, activeDeadline, object)
	if limit.Known() {
		limit.Duration += time.Duration(max(0, job.Spec.TTLSecondsAfterFinished)) * time.Second
	}
	return limit
}
