// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// trimTemplate returns the pod template at that path with only the fields that request a
// PodGroup, its priority class and its scheduler. It reads a malformed template as an empty
// one: its controller creates no pods from it, and validation is not the scheduler's job.
func trimTemplate(from map[string]any, path ...string) corev1.PodTemplateSpec {
	word := func(fields ...string) string {
		text, _, _ := unstructured.NestedString(from, append(path[:len(path):len(path)], fields...)...)
		return text
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: podGroupRequest(from, append(path[:len(path):len(path)], "metadata", "labels")...)},
		Spec:       corev1.PodSpec{PriorityClassName: word("spec", "priorityClassName"), SchedulerName: word("spec", "schedulerName")},
	}
}

// podGroupRequest returns the label that requests a PodGroup from the labels at that path,
// or nil.
func podGroupRequest(from map[string]any, path ...string) map[string]string {
	labels, _, _ := unstructured.NestedFieldNoCopy(from, path...)
	fields, _ := labels.(map[string]any)
	if value, ok := fields[gangs.MakePodGroupLabel].(string); ok {
		return map[string]string{gangs.MakePodGroupLabel: value}
	}
	return nil
}
