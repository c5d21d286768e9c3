// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
)

// inNamespace replaces NS in the text by the test's namespace.
func (e *env) inNamespace(text string) string {
	return strings.ReplaceAll(text, "NS/", e.Namespace+"/")
}

// event reports whether an event about the object contains the sentence.
func (e *env) event(object, sentence string) bool {
	e.Helper()
	list, err := e.Client.EventsV1().Events(e.Namespace).List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatalf("listing events: %v", err)
	}
	return containsEvent(list.Items, object, sentence)
}

func containsEvent(events []eventsv1.Event, object, sentence string) bool {
	for _, event := range events {
		if event.Regarding.Name == object && strings.Contains(event.Note, sentence) {
			return true
		}
	}
	return false
}

// minMemberMinimum is where the PodGroup CRD bounds minMember.
const minMemberMinimum = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/minMember/minimum"

func (e *env) patchCRD(patch string) {
	e.Helper()
	_, err := e.Of(harness.Definitions).Patch(context.Background(), "podgroups.scheduling.x-k8s.io", types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		e.Fatalf("changing the PodGroup CRD: %v", err)
	}
}

func (e *env) readRayCluster(name string) *rayv1.RayCluster {
	e.Helper()
	obj, err := e.Dynamic.Resource(rayClusters).Namespace(e.Namespace).Get(e.Context(), name, metav1.GetOptions{})
	if err != nil {
		e.Fatalf("reading RayCluster %s: %v", name, err)
	}
	cluster := &rayv1.RayCluster{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, cluster); err != nil {
		e.Fatalf("converting RayCluster %s: %v", name, err)
	}
	return cluster
}

// rayReady reports whether all pods of the RayCluster are ready.
func (e *env) rayReady(name string) bool {
	e.Helper()
	return meta.IsStatusConditionTrue(e.readRayCluster(name).Status.Conditions, string(rayv1.RayClusterProvisioned))
}

func (e *env) updateRayCluster(name string, change func(*rayv1.RayCluster)) {
	e.Helper()
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		cluster := e.readRayCluster(name)
		change(cluster)
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(cluster)
		if err != nil {
			return err
		}
		_, err = e.Dynamic.Resource(rayClusters).Namespace(e.Namespace).Update(e.Context(), &unstructured.Unstructured{Object: content}, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		e.Fatalf("updating RayCluster %s: %v", name, err)
	}
}
