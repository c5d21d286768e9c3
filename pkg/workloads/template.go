// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// trimTemplate keeps of the pod template at that path what reports whether a PodGroup
// is to be made, and of which priority. A template of another shape says nothing:
// its controller will not make pods of it, and that is not for a scheduler to judge.
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

// podGroupRequest keeps of the labels at that path the one that asks for a PodGroup.
func podGroupRequest(from map[string]any, path ...string) map[string]string {
	labels, _, _ := unstructured.NestedFieldNoCopy(from, path...)
	fields, _ := labels.(map[string]any)
	if value, ok := fields[gangs.MakePodGroupLabel].(string); ok {
		return map[string]string{gangs.MakePodGroupLabel: value}
	}
	return nil
}
