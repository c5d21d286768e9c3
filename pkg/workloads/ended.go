// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// notEnded is the field selector of ended pods: it excludes the phases of the pods that the
// scheduler's own informer shows.
const notEnded = "status.phase!=Pending,status.phase!=Running,status.phase!=Unknown"

// NewEndedPods returns an informer of the pods that have succeeded or failed. A scheduler's
// own informer drops them, but a succeeded pod still counts towards the minimum of its
// gang. sources tell which gang a pod belongs to. Of a pod without a gang and without the
// label of a scheduler-plugins PodGroup, the informer stores only the name, UID and phase.
// NewEndedPods returns an error if the informer refuses the transform function.
func NewEndedPods(client kubernetes.Interface, sources gangs.Sources) (cache.SharedIndexInformer, error) {
	informer := coreinformers.NewFilteredPodInformer(client, metav1.NamespaceAll, 0,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
		func(options *metav1.ListOptions) { options.FieldSelector = notEnded })
	err := informer.SetTransform(func(obj any) (any, error) { return trimEnded(obj, sources), nil })
	if err != nil {
		return nil, fmt.Errorf("setting up the watch of ended pods: %w", err)
	}
	return informer, nil
}

// trimEnded returns a copy of a pod with only the fields that are needed. A member of a gang
// or of a scheduler-plugins PodGroup keeps its metadata, spec and phase, any other pod only
// its name, UID and phase.
func trimEnded(obj any, sources gangs.Sources) any {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj
	}
	kept := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}}
	kept.Status.Phase = pod.Status.Phase
	if _, member := sources.Key(pod); member || pod.Labels[gangs.CoschedulingLabel] != "" {
		kept.ObjectMeta, kept.Spec = pod.ObjectMeta, pod.Spec
		kept.ManagedFields = nil
	}
	return kept
}
