// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// judgeFixture sends events to a judge with a fake clock. Tests need no real waits, and
// every run is the same.
type judgeFixture struct {
	*judge
	now     time.Time
	podBy   map[string]*v1.Pod
	nodeBy  map[string]*v1.Node
	claimBy map[string]*resourceapi.ResourceClaim
	groups  map[string]*unstructured.Unstructured
}

func newJudgeFixture() *judgeFixture {
	return &judgeFixture{
		judge: newJudge(Options{}.withDefaults()), now: time.Unix(1000, 0).UTC(),
		podBy: map[string]*v1.Pod{}, nodeBy: map[string]*v1.Node{},
		claimBy: map[string]*resourceapi.ResourceClaim{}, groups: map[string]*unstructured.Unstructured{},
	}
}

// advance moves the clock forward in steps of one tick.
func (f *judgeFixture) advance(d time.Duration) {
	for end := f.now.Add(d); f.now.Before(end); {
		f.now = f.now.Add(tick)
		f.timePassed(f.now)
	}
}

// node adds or changes a node with 10 CPUs and a ResourceSlice of gpu-0 and gpu-1.
func (f *judgeFixture) node(name string, changes ...func(*v1.Node)) {
	was := f.nodeBy[name]
	is := newNode(name)
	for _, change := range changes {
		change(is)
	}
	f.nodeBy[name] = is
	f.nodeChanged(was, is, f.now)
	if was == nil {
		f.sliceChanged(nil, newSlice(name), f.now)
	}
}

func newNode(name string) *v1.Node {
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{"shape": "small"}},
		Status:     v1.NodeStatus{Allocatable: v1.ResourceList{"cpu": resource.MustParse("10"), "pods": resource.MustParse("5")}},
	}
}

func newSlice(node string) *resourceapi.ResourceSlice {
	return &resourceapi.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: node + "-gpus", UID: types.UID(node + "-gpus")},
		Spec: resourceapi.ResourceSliceSpec{
			Driver: "gpu.example.com", NodeName: &node,
			Pool:    resourceapi.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1},
			Devices: []resourceapi.Device{{Name: "gpu-0"}, {Name: "gpu-1"}},
		},
	}
}

// pod adds a waiting pod that asks for one CPU.
func (f *judgeFixture) pod(name string, changes ...func(*v1.Pod)) {
	f.set(newPod(name, changes...))
}

func newPod(name string, changes ...func(*v1.Pod)) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name), Labels: map[string]string{}},
		Spec: v1.PodSpec{SchedulerName: "dovetail", Containers: []v1.Container{{
			Name: "main", Image: "none", Resources: v1.ResourceRequirements{Requests: v1.ResourceList{"cpu": resource.MustParse("1")}},
		}}},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

func (f *judgeFixture) set(pod *v1.Pod) {
	was := f.podBy[pod.Name]
	f.podBy[pod.Name] = pod
	f.podChanged(was, pod, f.now)
}

// edit changes existing pods.
func (f *judgeFixture) edit(change func(*v1.Pod), names ...string) {
	for _, name := range names {
		pod := f.podBy[name].DeepCopy()
		change(pod)
		f.set(pod)
	}
}

func (f *judgeFixture) bind(node string, names ...string) {
	f.edit(func(p *v1.Pod) { p.Spec.NodeName = node }, names...)
}

func (f *judgeFixture) remove(names ...string) {
	for _, name := range names {
		f.podChanged(f.podBy[name], nil, f.now)
		delete(f.podBy, name)
	}
}

// members adds n waiting pods and applies the changes, which make them members of a gang.
func (f *judgeFixture) members(prefix string, n int, changes ...func(*v1.Pod)) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", prefix, i))
		f.pod(names[i], changes...)
	}
	return names
}

func inCoscheduling(name string) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Labels[coschedulingLabel] = name }
}

func inPodGroup(name string) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: &name} }
}

// forGroup reserves a claim for a PodGroup of Kubernetes itself.
func forGroup(name string, claim *resourceapi.ResourceClaim) *resourceapi.ResourceClaim {
	claim.Status.ReservedFor = []resourceapi.ResourceClaimConsumerReference{{
		APIGroup: "scheduling.k8s.io", Resource: "podgroups", Name: name, UID: types.UID("group " + name),
	}}
	return claim
}

func inRayCluster(name, nodeType, group string) func(*v1.Pod) {
	isController := true
	return func(p *v1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "ray.io/v1", Kind: "RayCluster", Name: name, UID: types.UID(name), Controller: &isController,
		}}
		p.Labels[rayNodeTypeLabel], p.Labels[rayGroupLabel] = nodeType, group
	}
}

func inGangOf(name, minimum string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Labels[gangNameLabel] = name
		p.Annotations = map[string]string{gangMinimum: minimum}
	}
}

// ofJob makes a pod a member of a Job whose template requests a gang.
func ofJob(name string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: name, UID: types.UID(name), Controller: new(true)}}
		p.Labels[gangMark] = "true"
	}
}

func withClaim(name string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, v1.PodResourceClaim{Name: name, ResourceClaimName: &name})
	}
}

func terminating(p *v1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }

func phase(is v1.PodPhase) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Status.Phase = is }
}

// coscheduling declares, changes or (with no spec) deletes a PodGroup of scheduler-plugins.
func (f *judgeFixture) coscheduling(name string, spec map[string]any) {
	f.declareObject("coscheduling PodGroup", name, spec, f.coschedulingChanged)
}

// podGroup declares a PodGroup of Kubernetes itself.
func (f *judgeFixture) podGroup(name string, least int64) {
	spec := map[string]any{"schedulingPolicy": map[string]any{"gang": map[string]any{"minCount": least}}}
	f.declareObject("PodGroup", name, spec, f.podGroupChanged)
}

// rayCluster declares, changes or (with no spec) deletes a RayCluster.
func (f *judgeFixture) rayCluster(name string, spec map[string]any) {
	f.declareObject("RayCluster", name, spec, f.rayClusterChanged)
}

// job declares, changes or (with no spec) deletes a Job with a number of succeeded pods.
func (f *judgeFixture) job(name string, spec map[string]any, succeeded int64) {
	f.declareObject("Job", name, spec, func(was, is *unstructured.Unstructured, now time.Time) {
		if is != nil {
			is.Object["status"] = map[string]any{"succeeded": succeeded}
		}
		f.jobChanged(was, is, now)
	})
}

func (f *judgeFixture) declareObject(kind, name string, spec map[string]any, changed func(was, is *unstructured.Unstructured, now time.Time)) {
	was := f.groups[kind+name]
	if spec == nil {
		delete(f.groups, kind+name)
		changed(was, nil, f.now)
		return
	}
	is := &unstructured.Unstructured{Object: map[string]any{
		"kind": kind, "metadata": map[string]any{"namespace": "ml", "name": name, "uid": name}, "spec": spec,
	}}
	f.groups[kind+name] = is
	changed(was, is, f.now)
}

// claim adds or changes a claim that holds devices of a node for a pod. Without devices the
// claim is not allocated.
func (f *judgeFixture) claim(name, pod, node string, devices ...string) {
	f.setClaim(name, newClaim(name, pod, node, devices...))
}

func (f *judgeFixture) setClaim(name string, is *resourceapi.ResourceClaim) {
	was := f.claimBy[name]
	f.claimBy[name] = is
	f.claimChanged(was, is, f.now)
}

func newClaim(name, pod, node string, devices ...string) *resourceapi.ResourceClaim {
	claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name)}}
	if len(devices) == 0 {
		return claim
	}
	claim.Status.Allocation = &resourceapi.AllocationResult{}
	for _, device := range devices {
		claim.Status.Allocation.Devices.Results = append(claim.Status.Allocation.Devices.Results,
			resourceapi.DeviceRequestAllocationResult{Request: "gpu", Driver: "gpu.example.com", Pool: node, Device: device})
	}
	if pod != "" {
		claim.Status.ReservedFor = []resourceapi.ResourceClaimConsumerReference{{Resource: "pods", Name: pod, UID: types.UID(pod)}}
	}
	return claim
}

// findings lists the violations, each as "invariant: sentence".
func (f *judgeFixture) findings() []string {
	var found []string
	for _, v := range f.violations {
		found = append(found, fmt.Sprintf("%s: %s", v.Invariant, v.Sentence))
	}
	return found
}
