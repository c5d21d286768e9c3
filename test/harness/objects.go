// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/manifests"
)

// Create creates the objects of YAML documents in the test's namespace and returns the last
// object.
func (e *Env) Create(documents ...string) *unstructured.Unstructured {
	e.Helper()
	var created *unstructured.Unstructured
	for _, document := range documents {
		u := Decode(e.T, document)
		var err error
		if created, err = e.Of(ResourceOf(u)).Create(e.Context(), u, metav1.CreateOptions{}); err != nil {
			e.Fatalf("creating %s %s: %v", u.GetKind(), u.GetName(), err)
		}
	}
	return created
}

// Install applies a file of manifests/ that the cluster does not have from the start: that of
// an opt-in component.
func (e *Env) Install(file string) {
	e.Helper()
	text, err := manifests.FS.ReadFile(file)
	if err != nil {
		e.Fatal(err)
	}
	cmd := e.Cluster.Kubectl(e.Context(), "apply", "-f", "-")
	cmd.Stdin = bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		e.Fatalf("installing %s: %v: %s", file, err, out)
	}
}

// Of returns the client of a resource, in the test's namespace if the resource has namespaces.
func (e *Env) Of(resource schema.GroupVersionResource) dynamic.ResourceInterface {
	if slices.Contains(clusterScoped, resource.GroupResource()) {
		return e.Dynamic.Resource(resource)
	}
	return e.Dynamic.Resource(resource).Namespace(e.Namespace)
}

// Definitions is the resource of custom resource definitions.
var Definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// clusterScoped are the resources without namespaces that the tests create.
var clusterScoped = []schema.GroupResource{
	Definitions.GroupResource(),
	{Group: rbacv1.GroupName, Resource: "clusterroles"},
	{Group: rbacv1.GroupName, Resource: "clusterrolebindings"},
}

// ResourceOf returns the resource of an object. It only adds an s to the kind, which is right
// for every kind that the tests create.
func ResourceOf(u *unstructured.Unstructured) schema.GroupVersionResource {
	return u.GroupVersionKind().GroupVersion().WithResource(strings.ToLower(u.GetKind()) + "s")
}

// Edit changes an object, or its status if part is "status". It tries again if another client
// changed the object meanwhile.
func (e *Env) Edit(resource schema.GroupVersionResource, name string, change func(*unstructured.Unstructured) error, part ...string) {
	e.Helper()
	e.Until("changing "+name, func(ctx context.Context) string {
		u, err := e.Of(resource).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if err := change(u); err != nil {
			return err.Error()
		}
		_, err = e.Of(resource).Update(ctx, u, metav1.UpdateOptions{}, part...)
		return Text(err)
	})
}

// Decode reads the object of a YAML document.
func Decode(t *testing.T, document string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
		t.Fatalf("reading a test's object: %v\n%s", err, document)
	}
	return u
}

// LooseDefinition returns the CustomResourceDefinition of a kind that accepts any content, with
// a status subresource. The API server stores objects in the first of the versions.
func LooseDefinition(t *testing.T, resource schema.GroupResource, kind string, versions ...string) *unstructured.Unstructured {
	t.Helper()
	served := make([]string, len(versions))
	for i, version := range versions {
		served[i] = fmt.Sprintf("{name: %s, served: true, storage: %v, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}", version, i == 0)
	}
	return Decode(t, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[1]s.%[2]s
  annotations: {api-approved.kubernetes.io: unapproved}
spec:
  group: %[2]s
  scope: Namespaced
  names: {plural: %[1]s, kind: %[3]s, listKind: %[3]sList}
  versions: [%[4]s]
`, resource.Resource, resource.Group, kind, strings.Join(served, ", ")))
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
