// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"
	"math"
	"sort"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RayClusterSource is the Key.Source (the way of declaring, in a gang's key) of gangs
// inferred from a RayCluster.
const RayClusterSource = "raycluster"

// rayHeadGroup is the name KubeRay gives the head's group.
const rayHeadGroup = "headgroup"

// Labels that KubeRay puts on every pod it makes for a RayCluster.
const (
	rayNodeTypeLabel     = "ray.io/node-type"
	rayGroupLabel        = "ray.io/group"
	rayReplicaIndexLabel = "ray.io/worker-group-replica-index"
	rayHostIndexLabel    = "ray.io/replica-host-index"
	rayReplicaNameLabel  = "ray.io/worker-group-replica-name"
)

// RayClusters looks up RayClusters. Only their metadata, spec.suspend,
// spec.enableInTreeAutoscaling and, of their worker groups, the names, suspend and the
// numbers of pods are read.
type RayClusters interface {
	RayCluster(namespace, name string) (*rayv1.RayCluster, error)
}

// rayClusterSource is the Source (reader of gang declarations) that infers a gang from the
// RayCluster which owns the pod. In KubeRay, no batch scheduler has to be configured for
// this. RayJobs and RayServices work through their RayCluster: KubeRay copies their
// annotations to the RayCluster that it creates, so a topology constraint on them is found
// there. The source looks up a RayJob only for its values for the run time. A constraint in a
// group's pod template is found on the pods.
type rayClusterSource struct {
	objects RayClusterObjects
}

// NewRayClusterSource returns the source of gangs inferred from RayClusters.
func NewRayClusterSource(objects RayClusterObjects) Source {
	return rayClusterSource{objects: objects}
}

// RayClusterKey returns the key of the gang inferred from that RayCluster.
func RayClusterKey(namespace, name string) Key {
	return Key{Source: RayClusterSource, Namespace: namespace, Name: name}
}

func (rayClusterSource) Name() string { return RayClusterSource }

// Key returns the gang of a head or worker pod that a RayCluster controls.
func (rayClusterSource) Key(pod *corev1.Pod) (Key, bool) {
	cluster, ok := rayClusterOf(pod)
	if !ok {
		return Key{}, false
	}
	return RayClusterKey(pod.Namespace, cluster), true
}

func (rayClusterSource) Role(pod *corev1.Pod) string { return rayRole(pod) }

// Rank is known only if the operator numbers replicas and their hosts (feature gate
// RayMultiHostIndexing, off in KubeRay 1.5).
func (rayClusterSource) Rank(pod *corev1.Pod) Rank { return rayRank(pod) }

// Replica, like Rank, is known only if the operator numbers replicas.
func (rayClusterSource) Replica(pod *corev1.Pod) string { return rayReplica(pod) }

func (s rayClusterSource) Gang(key Key, _ []Member) (Gang, error) {
	return gangOfRayCluster(key, key, s.objects)
}

// rayClusterOf returns the name of the RayCluster that made the pod as its head
// or one of its workers.
func rayClusterOf(pod *corev1.Pod) (string, bool) {
	switch rayv1.RayNodeType(pod.Labels[rayNodeTypeLabel]) {
	case rayv1.HeadNode, rayv1.WorkerNode:
	default:
		return "", false
	}
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || !isRayCluster(ref) {
		return "", false
	}
	return ref.Name, true
}

func isRayCluster(ref *metav1.OwnerReference) bool {
	return refersTo(ref, rayv1.GroupVersion.Group, "RayCluster")
}

func rayRole(pod *corev1.Pod) string {
	if pod.Labels[rayNodeTypeLabel] == string(rayv1.HeadNode) {
		return rayHeadGroup
	}
	return pod.Labels[rayGroupLabel]
}

func rayRank(pod *corev1.Pod) Rank {
	return rankOf(pod, rayReplicaIndexLabel, rayHostIndexLabel)
}

func rayReplica(pod *corev1.Pod) string {
	return pod.Labels[rayReplicaNameLabel]
}

// rayGang returns the gang that a RayCluster's spec describes, under the given key.
func rayGang(key Key, cluster *rayv1.RayCluster) Gang {
	g := Gang{
		Key:      key,
		UID:      cluster.UID,
		Topology: topologyOf(cluster.Annotations),
		RunTime:  runTimeOf(&cluster.ObjectMeta, RayClusterKey(cluster.Namespace, cluster.Name).String(), Limit{}),
		Owner: corev1.ObjectReference{
			APIVersion: rayv1.GroupVersion.String(),
			Kind:       "RayCluster",
			Namespace:  cluster.Namespace,
			Name:       cluster.Name,
			UID:        cluster.UID,
		},
		Created: cluster.CreationTimestamp.Time,
		Roles:   rayRoles(cluster),
		Problem: rayProblem(cluster),
	}
	for _, r := range g.Roles {
		g.Min += r.Min
	}
	return g
}

func rayProblem(cluster *rayv1.RayCluster) string {
	name := RayClusterKey(cluster.Namespace, cluster.Name)
	if cluster.DeletionTimestamp != nil {
		return fmt.Sprintf("%s is being deleted", name)
	}
	if isTrue(cluster.Spec.Suspend) {
		return fmt.Sprintf("%s is suspended: spec.suspend is true", name)
	}
	seen := map[string]bool{rayHeadGroup: true}
	for i := range cluster.Spec.WorkerGroupSpecs {
		group := cluster.Spec.WorkerGroupSpecs[i].GroupName
		if group == "" {
			return fmt.Sprintf("spec.workerGroupSpecs[%d].groupName of %s is empty", i, name)
		}
		if seen[group] {
			return fmt.Sprintf("spec.workerGroupSpecs[%d].groupName of %s is %q, which is taken", i, name, group)
		}
		seen[group] = true
	}
	return ""
}

// rayRoles returns a role (members with one task) for the head and for every worker group
// that is not suspended, sorted by name.
func rayRoles(cluster *rayv1.RayCluster) []Role {
	if isTrue(cluster.Spec.Suspend) {
		return nil
	}
	roles := []Role{{Name: rayHeadGroup, Min: 1, Want: 1}}
	for i := range cluster.Spec.WorkerGroupSpecs {
		group := &cluster.Spec.WorkerGroupSpecs[i]
		if !isTrue(group.Suspend) {
			roles = append(roles, rayWorkerRole(group, isTrue(cluster.Spec.EnableInTreeAutoscaling)))
		}
	}
	sort.SliceStable(roles, func(i, j int) bool { return roles[i].Name < roles[j].Name })
	return roles
}

// rayWorkerRole returns the role of a worker group. It counts pods as KubeRay creates them:
// replicas between minReplicas and maxReplicas, times numOfHosts. If the limits contradict
// each other, maxReplicas wins. With the in-tree autoscaler, Min counts only minReplicas:
// replicas that the autoscaler adds join later and may be removed again. The hosts of one
// replica are useful only together, so they join together. With numOfHosts 0, which must be
// written explicitly since the default is 1, KubeRay 1.5 creates no pods. Such a gang waits,
// and the message about it names the missing members.
func rayWorkerRole(group *rayv1.WorkerGroupSpec, autoscaling bool) Role {
	lowest, highest := valueOr(group.MinReplicas, 0), valueOr(group.MaxReplicas, math.MaxInt32)
	replicas := min(max(valueOr(group.Replicas, 0), lowest), highest)
	hosts := max(1, int64(group.NumOfHosts))

	role := Role{Name: group.GroupName, Want: pods(replicas, hosts)}
	role.Min = role.Want
	if hosts > 1 {
		role.Step = int(min(hosts, math.MaxInt32))
	}
	if autoscaling {
		role.Min = pods(min(lowest, replicas), hosts)
	}
	return role
}

// pods returns replicas times hosts, at least 0 and at most math.MaxInt32: the
// spec of a RayCluster may have any two int32.
func pods(replicas, hosts int64) int {
	return int(min(max(0, replicas)*hosts, math.MaxInt32))
}

func valueOr(p *int32, otherwise int64) int64 {
	if p == nil {
		return otherwise
	}
	return int64(*p)
}

func isTrue(p *bool) bool {
	return p != nil && *p
}
