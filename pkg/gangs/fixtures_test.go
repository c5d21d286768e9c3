// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"fmt"
	"slices"
	"time"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// objects holds the declaring objects of a cluster in memory.
type objects struct {
	clusters   map[string]*rayv1.RayCluster
	rayJobs    map[string]*rayv1.RayJob
	groups     map[string]*schedv1alpha1.PodGroup
	kubernetes map[string]*schedulingv1beta1.PodGroup
	volcanos   map[string]*gangs.VolcanoPodGroup
	lws        map[string]*gangs.LeaderWorkerSet
	jobSets    map[string]*gangs.JobSet
	jobs       map[string]*batchv1.Job
	// failure, if set, returns the error of every lookup.
	failure func(gangs.Key) error
}

func (o objects) RayCluster(namespace, name string) (*rayv1.RayCluster, error) {
	return find(o, o.clusters, gangs.RayClusterKey(namespace, name))
}

func (o objects) RayJob(_ gangs.Key, namespace, name string) (*rayv1.RayJob, error) {
	return find(o, o.rayJobs, gangs.RayJobKey(namespace, name))
}

func (o objects) CoschedulingGroup(namespace, name string) (*schedv1alpha1.PodGroup, error) {
	return find(o, o.groups, gangs.CoschedulingKey(namespace, name))
}

func (o objects) PodGroup(namespace, name string) (*schedulingv1beta1.PodGroup, error) {
	return find(o, o.kubernetes, gangs.PodGroupKey(namespace, name))
}

func (o objects) VolcanoPodGroup(namespace, name string) (*gangs.VolcanoPodGroup, error) {
	return find(o, o.volcanos, gangs.VolcanoKey(namespace, name))
}

func (o objects) LeaderWorkerSet(_ gangs.Key, namespace, name string) (*gangs.LeaderWorkerSet, error) {
	return find(o, o.lws, gangs.LeaderWorkerSetKey(namespace, name))
}

func (o objects) JobSet(namespace, name string) (*gangs.JobSet, error) {
	return find(o, o.jobSets, gangs.JobSetKey(namespace, name))
}

func (o objects) Job(namespace, name string) (*batchv1.Job, error) {
	return find(o, o.jobs, gangs.JobKey(namespace, name))
}

func find[T any](o objects, in map[string]*T, key gangs.Key) (*T, error) {
	if o.failure != nil {
		return nil, o.failure(key)
	}
	if found, ok := in[key.Namespace+"/"+key.Name]; ok {
		return found, nil
	}
	return nil, &gangs.LookupError{Key: key, Reason: gangs.ErrNotFound}
}

// clusterOnly returns objects with this RayCluster alone.
func clusterOnly(c *rayv1.RayCluster) objects {
	return objects{clusters: map[string]*rayv1.RayCluster{c.Namespace + "/" + c.Name: c}}
}

// groupOnly returns objects with this PodGroup alone.
func groupOnly(g *schedv1alpha1.PodGroup) objects {
	return objects{groups: map[string]*schedv1alpha1.PodGroup{g.Namespace + "/" + g.Name: g}}
}

func (o objects) sources() gangs.Sources {
	return gangs.NewSources(o)
}

var epoch = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

const clusterUID = types.UID("uid-of-a")

// rayCluster returns RayCluster ml/a with these worker groups.
func rayCluster(groups ...rayv1.WorkerGroupSpec) *rayv1.RayCluster {
	return &rayv1.RayCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "a", UID: clusterUID, CreationTimestamp: metav1.NewTime(epoch)},
		Spec:       rayv1.RayClusterSpec{WorkerGroupSpecs: groups},
	}
}

// workers returns a worker group with all defaults set, as the API server stores it.
func workers(name string, replicas int32) rayv1.WorkerGroupSpec {
	return rayv1.WorkerGroupSpec{
		GroupName: name, Replicas: &replicas, MinReplicas: new(int32), MaxReplicas: ptr[int32](2147483647), NumOfHosts: 1,
	}
}

// podGroup returns PodGroup ml/a.
func podGroup(minMember int32) *schedv1alpha1.PodGroup {
	return &schedv1alpha1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "a", UID: "uid-of-group", CreationTimestamp: metav1.NewTime(epoch)},
		Spec:       schedv1alpha1.PodGroupSpec{MinMember: minMember},
	}
}

// change modifies a plain pod for a test.
type change func(*corev1.Pod)

func pod(name string, changes ...change) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, CreationTimestamp: metav1.NewTime(epoch)},
		Spec:       corev1.PodSpec{SchedulerName: "dovetail"},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func label(key, value string) change {
	return func(p *corev1.Pod) { metav1.SetMetaDataLabel(&p.ObjectMeta, key, value) }
}

func annotation(key, value string) change {
	return func(p *corev1.Pod) { metav1.SetMetaDataAnnotation(&p.ObjectMeta, key, value) }
}

func inGroup(name string) change { return label(gangs.CoschedulingLabel, name) }

func bound(p *corev1.Pod)     { p.Spec.NodeName = "n1" }
func succeeded(p *corev1.Pod) { p.Spec.NodeName, p.Status.Phase = "n1", corev1.PodSucceeded }
func failed(p *corev1.Pod)    { p.Spec.NodeName, p.Status.Phase = "n1", corev1.PodFailed }
func deleted(p *corev1.Pod)   { p.DeletionTimestamp = ptr(metav1.NewTime(epoch)) }

func gated(p *corev1.Pod) {
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "kueue.x-k8s.io/admission"}}
}

func scheduler(name string) change { return func(p *corev1.Pod) { p.Spec.SchedulerName = name } }
func priority(n int32) change      { return func(p *corev1.Pod) { p.Spec.Priority = &n } }

func controlledBy(apiVersion, kind, name string, uid types.UID) change {
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{
			{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid, Controller: ptr(true)},
		}
	}
}

func nodeType(t string) change { return label("ray.io/node-type", t) }

// ofCluster makes the pod a pod of RayCluster ml/a, with KubeRay's labels.
func ofCluster(p *corev1.Pod) {
	controlledBy("ray.io/v1", "RayCluster", "a", clusterUID)(p)
	label("ray.io/cluster", "a")(p)
}

func head(name string, changes ...change) *corev1.Pod {
	return pod(name, append([]change{ofCluster, nodeType("head"), label("ray.io/group", "headgroup")}, changes...)...)
}

func worker(name, group string, changes ...change) *corev1.Pod {
	return pod(name, append([]change{ofCluster, nodeType("worker"), label("ray.io/group", group)}, changes...)...)
}

// manyWorkers returns n workers of a group, named group-0, group-1 and so on.
func manyWorkers(group string, n int, changes ...change) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = worker(fmt.Sprintf("%s-%d", group, i), group, changes...)
	}
	return pods
}

// manyInGroup returns n pods of PodGroup ml/a, named a-0, a-1 and so on.
func manyInGroup(n int, changes ...change) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = pod(fmt.Sprintf("a-%d", i), append([]change{inGroup("a")}, changes...)...)
	}
	return pods
}

// allMembers returns the pods that are members of any gang.
func allMembers(sources gangs.Sources, pods []*corev1.Pod) []gangs.Member {
	var members []gangs.Member
	for _, p := range pods {
		if m, ok := sources.Member(p); ok {
			members = append(members, m)
		}
	}
	return members
}

// membersOf returns the pods that are members of the gang with that key.
func membersOf(sources gangs.Sources, key gangs.Key, pods []*corev1.Pod) []gangs.Member {
	return slices.DeleteFunc(allMembers(sources, pods), func(m gangs.Member) bool { return m.Key != key })
}

func ptr[T any](v T) *T { return &v }
