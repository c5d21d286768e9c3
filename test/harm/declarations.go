// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// misspeltAnnotations has gangs whose annotations have unknown keys and invalid values.
func misspeltAnnotations(a *attacker) {
	a.gangs(a.size, 4, 4, annotated(map[string]string{
		"dovetail.dev/gang-mim": "four", "dovetail.dev/topology-requierd": "leaf", "dovetail.dev/topology-required": "a/b/c,%%",
		"dovetail.dev/topology-preferred": strings.Repeat("leaf,", 100), "dovetail.dev/device-alignment": "always",
	}))
}

// hugeAnnotations has gangs with annotations of 200 kB and 1,000 labels on each pod.
func hugeAnnotations(a *attacker) {
	text := strings.Repeat("x", 200_000)
	a.gangs(a.size/2, 4, 5, annotated(map[string]string{"dovetail.dev/topology-preferred": text}), func(pod *corev1.Pod) {
		for i := range 1000 {
			pod.Labels[fmt.Sprintf("example.com/label-%d", i)] = strings.Repeat("v", 60)
		}
	})
}

// differentLevels has gangs that require one domain of a level which no node has, each of another.
func differentLevels(a *attacker) {
	a.pods(a.many/2, func(i int) *corev1.Pod {
		level := map[string]string{"dovetail.dev/topology-required": fmt.Sprintf("example.com/level-%d", i/2)}
		return a.pod(fmt.Sprintf("p%d", i), inGang(fmt.Sprintf("g%d", i/2), 2), annotated(level))
	})
}

// falseOwners has pods that name owners which do not exist, with the names of the victim's.
func falseOwners(a *attacker) {
	a.pods(a.size, func(i int) *corev1.Pod {
		return a.pod(fmt.Sprintf("p%d", i), func(pod *corev1.Pod) {
			pod.Labels["dovetail.dev/gang"] = "true"
			pod.Labels["ray.io/cluster"] = gangName(i % 10)
			for owner := range 100 {
				pod.OwnerReferences = append(pod.OwnerReferences, metav1.OwnerReference{
					APIVersion: []string{"batch/v1", "ray.io/v1"}[owner%2], Kind: []string{"Job", "RayCluster"}[owner%2],
					Name: gangName(owner), UID: types.UID(fmt.Sprintf("%d-%d", i, owner)), Controller: ptr.To(owner == i%2),
				})
			}
		})
	})
}

// chainedOwners has Jobs that are gangs and of which each owns the next.
func chainedOwners(a *attacker) {
	var owner *batchv1.Job
	for i := 0; i < max(a.size/5, 10) && a.ctx.Err() == nil; i++ {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("job-%d", i)}}
		if owner != nil {
			job.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: "batch/v1", Kind: "Job", Name: owner.Name, UID: owner.UID, Controller: ptr.To(true),
			}}
		}
		pod := a.pod("", impossible)
		pod.Labels["dovetail.dev/gang"] = "true"
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		job.Spec.Parallelism, job.Spec.Completions = ptr.To[int32](5), ptr.To[int32](5)
		job.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}
		created, err := a.client.BatchV1().Jobs(a.namespace).Create(a.ctx, job, metav1.CreateOptions{})
		if a.count(err); err == nil {
			owner = created
		}
	}
}
