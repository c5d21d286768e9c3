// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"strings"
	"time"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rayJobSource is the Key.Source of RayJobs. A RayJob declares no gang: its RayCluster does,
// and the RayJob only limits the run time of that gang.
const rayJobSource = "rayjob"

// RayJobs looks up RayJobs. Only their metadata and, of the spec, activeDeadlineSeconds,
// shutdownAfterJobFinishes and ttlSecondsAfterFinished are read. asks is the key of the gang
// that the lookup is for.
type RayJobs interface {
	RayJob(asks Key, namespace, name string) (*rayv1.RayJob, error)
}

// RayClusterObjects looks up RayClusters and the RayJobs that made them.
type RayClusterObjects interface {
	RayClusters
	RayJobs
}

// RayJobKey returns a key for the RayJob of that name. No gang has it.
func RayJobKey(namespace, name string) Key {
	return Key{Source: rayJobSource, Namespace: namespace, Name: name}
}

// RayJobOf returns the key of the RayJob that made the RayCluster, if one did.
func RayJobOf(cluster *rayv1.RayCluster) (Key, bool) {
	ref := rayJobRef(cluster)
	if ref == nil {
		return Key{}, false
	}
	return RayJobKey(cluster.Namespace, ref.Name), true
}

func rayJobRef(cluster *rayv1.RayCluster) *metav1.OwnerReference {
	ref := metav1.GetControllerOfNoCopy(cluster)
	if ref == nil {
		return nil
	}
	if group, _, _ := strings.Cut(ref.APIVersion, "/"); ref.Kind != "RayJob" || group != rayv1.GroupVersion.Group {
		return nil
	}
	return ref
}

// gangOfRayCluster returns the gang that a RayCluster describes. of is the key of its own
// gang, key the key of the returned gang. What the RayJob of the cluster says about the run
// time is added, if the RayJob is known.
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

// rayJobDeadline returns the time after which KubeRay has deleted the RayCluster of a RayJob.
// Without shutdownAfterJobFinishes the pods stay when the RayJob has failed at its deadline.
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
