// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	podgroupv1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	profile       = "dovetail"
	groupLabel    = podgroupv1.PodGroupLabel
	levelRequired = "dovetail.dev/topology-required"
	levelWanted   = "dovetail.dev/topology-preferred"
	// wholeNode is the name of the claim template for all eight GPUs and NICs of a node.
	wholeNode = "whole-node"
)

var (
	podGroups   = podgroupv1.SchemeGroupVersion.WithResource("podgroups")
	rayClusters = rayv1.GroupVersion.WithResource("rayclusters")
)

// podOption changes a pod before its creation.
type podOption func(*corev1.Pod)

func inGroup(name string) podOption {
	return func(p *corev1.Pod) { p.Labels[groupLabel] = name }
}

func asking(cpu, memory string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		}
	}
}

func withDevices(p *corev1.Pod) {
	template := wholeNode
	p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "devices", ResourceClaimTemplateName: &template}}
	p.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "devices"}}
}

func newPod(name string, options ...podOption) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			SchedulerName:                 profile,
			TerminationGracePeriodSeconds: new(int64),
			Containers:                    []corev1.Container{{Name: "main", Image: "work"}},
		},
	}
	asking("1", "1Gi")(pod)
	for _, option := range options {
		option(pod)
	}
	return pod
}

// createPods creates pods, several at a time, in approximately their order.
func (e *env) createPods(pods ...*corev1.Pod) {
	e.Helper()
	var wg sync.WaitGroup
	next := make(chan *corev1.Pod)
	for range 8 {
		wg.Go(func() {
			for pod := range next {
				if _, err := e.Client.CoreV1().Pods(e.Namespace).Create(context.Background(), pod, metav1.CreateOptions{}); err != nil {
					e.Errorf("creating pod %s: %v", pod.Name, err)
				}
			}
		})
	}
	for _, pod := range pods {
		next <- pod
	}
	close(next)
	wg.Wait()
}

// members returns n pods of a PodGroup.
func members(group string, n int, options ...podOption) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = newPod(fmt.Sprintf("%s-%d", group, i), append([]podOption{inGroup(group)}, options...)...)
	}
	return pods
}

// podGroup creates a scheduler-plugins PodGroup.
func (e *env) podGroup(name string, min int64, annotations map[string]string) {
	e.Helper()
	if err := e.tryPodGroup(name, min, annotations); err != nil {
		e.Fatalf("creating PodGroup %s: %v", name, err)
	}
}

func (e *env) tryPodGroup(name string, min int64, annotations map[string]string) error {
	group := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": podGroups.GroupVersion().String(), "kind": "PodGroup",
		"spec": map[string]any{"minMember": min},
	}}
	group.SetName(name)
	group.SetAnnotations(annotations)
	_, err := e.Dynamic.Resource(podGroups).Namespace(e.Namespace).Create(e.Context(), group, metav1.CreateOptions{})
	return err
}

func (e *env) apply(gvr schema.GroupVersionResource, obj *unstructured.Unstructured) {
	e.Helper()
	if _, err := e.Dynamic.Resource(gvr).Namespace(e.Namespace).Create(e.Context(), obj, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating %s %s: %v", gvr.Resource, obj.GetName(), err)
	}
}

func (e *env) remove(gvr schema.GroupVersionResource, name string) {
	e.Helper()
	background := metav1.DeletePropagationBackground
	if err := e.Dynamic.Resource(gvr).Namespace(e.Namespace).Delete(e.Context(), name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		e.Fatalf("deleting %s %s: %v", gvr.Resource, name, err)
	}
}

// claimTemplate makes the template for a whole ND H100 v5 node.
func (e *env) claimTemplate() {
	e.Helper()
	template := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: wholeNode}}
	for name, class := range map[string]string{"gpu": fleet.ClassGPU, "nic": fleet.ClassRDMA} {
		template.Spec.Spec.Devices.Requests = append(template.Spec.Spec.Devices.Requests, resourceapi.DeviceRequest{
			Name: name, Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: class, Count: 8},
		})
	}
	if _, err := e.Client.ResourceV1().ResourceClaimTemplates(e.Namespace).Create(e.Context(), template, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating a claim template: %v", err)
	}
}

// rayOption changes a RayCluster before its creation.
type rayOption func(*rayv1.RayCluster)

func annotated(key, value string) rayOption {
	return func(c *rayv1.RayCluster) { c.Annotations[key] = value }
}

func labelled(key, value string) rayOption {
	return func(c *rayv1.RayCluster) { c.Labels[key] = value }
}

// newRayCluster returns a cluster of a head and n workers. Each worker uses all devices of
// a node.
func newRayCluster(name string, n int32, options ...rayOption) *rayv1.RayCluster {
	cluster := &rayv1.RayCluster{
		TypeMeta:   metav1.TypeMeta{APIVersion: rayv1.GroupVersion.String(), Kind: "RayCluster"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}, Labels: map[string]string{}},
		Spec: rayv1.RayClusterSpec{
			RayVersion:    "2.46.0",
			HeadGroupSpec: rayv1.HeadGroupSpec{RayStartParams: map[string]string{}, Template: corev1.PodTemplateSpec{Spec: newPod("").Spec}},
			WorkerGroupSpecs: []rayv1.WorkerGroupSpec{{
				GroupName: "workers", Replicas: &n, MinReplicas: &n, MaxReplicas: &n, RayStartParams: map[string]string{},
				Template: corev1.PodTemplateSpec{Spec: newPod("", withDevices).Spec},
			}},
		},
	}
	for _, option := range options {
		option(cluster)
	}
	return cluster
}

func (e *env) rayCluster(cluster *rayv1.RayCluster) {
	e.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(cluster)
	if err != nil {
		e.Fatalf("converting RayCluster %s: %v", cluster.Name, err)
	}
	delete(content, "status")
	e.apply(rayClusters, &unstructured.Unstructured{Object: content})
}

func newQuantity(n int64) *resource.Quantity {
	return resource.NewQuantity(n, resource.DecimalSI)
}
