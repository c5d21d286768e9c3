// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// Create creates the objects of YAML documents in the test's namespace and returns the last
// object.
func (e *Env) Create(documents ...string) *unstructured.Unstructured {
	e.Helper()
	var created *unstructured.Unstructured
	for _, document := range documents {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			e.Fatalf("reading a test's object: %v\n%s", err, document)
		}
		var err error
		if created, err = e.Of(ResourceOf(u)).Create(e.Context(), u, metav1.CreateOptions{}); err != nil {
			e.Fatalf("creating %s %s: %v", u.GetKind(), u.GetName(), err)
		}
	}
	return created
}

// Of returns a dynamic client for a resource in the test's namespace.
func (e *Env) Of(resource schema.GroupVersionResource) dynamic.ResourceInterface {
	return e.Dynamic.Resource(resource).Namespace(e.Namespace)
}

// ResourceOf returns the resource of an object. It guesses the plural, which is right for
// every kind that the tests create.
func ResourceOf(u *unstructured.Unstructured) schema.GroupVersionResource {
	return u.GroupVersionKind().GroupVersion().WithResource(strings.ToLower(u.GetKind()) + "s")
}

// Edit changes an object. It retries on a conflict with another writer.
func (e *Env) Edit(resource schema.GroupVersionResource, name string, change func(*unstructured.Unstructured) error) {
	e.Helper()
	e.Until("changing "+name, func(ctx context.Context) string {
		u, err := e.Of(resource).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if err := change(u); err != nil {
			return err.Error()
		}
		_, err = e.Of(resource).Update(ctx, u, metav1.UpdateOptions{})
		return Text(err)
	})
}

// Events returns the events of the namespace, each as "Kind name: reason: note".
func (e *Env) Events() []string {
	e.Helper()
	list, err := e.Client.EventsV1().Events(e.Namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		e.Fatalf("listing events: %v", err)
	}
	var events []string
	for i := range list.Items {
		event := &list.Items[i]
		events = append(events, fmt.Sprintf("%s %s: %s: %s", event.Regarding.Kind, event.Regarding.Name, event.Reason, event.Note))
	}
	return events
}
