// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestReadTakesEveryDocumentInOrder(t *testing.T) {
	dir := fstest.MapFS{
		"b.yaml":  {Data: []byte("# Only a comment.\n---\nkind: C\nmetadata: {name: c}\n")},
		"a.yaml":  {Data: []byte("kind: A\nmetadata: {name: a}\n---\n\n---\nkind: B\nmetadata: {name: b}\n")},
		"no.json": {Data: []byte("{")},
	}
	objects, err := Read(dir, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range objects {
		names = append(names, object.GetKind()+"/"+object.GetName())
	}
	if diff := cmp.Diff([]string{"A/a", "B/b", "C/c"}, names); diff != "" {
		t.Errorf("objects (-want,+got):\n%s", diff)
	}
	for _, pattern := range []string{"*.yml", "no.json"} {
		if objects, err := Read(dir, pattern); err == nil {
			t.Errorf("%s: nothing is found wrong; read %v", pattern, objects)
		}
	}
}

func TestResourcesOfADefinitionAreItsServedVersions(t *testing.T) {
	objects, err := Decode([]byte(`
kind: CustomResourceDefinition
metadata: {name: rays.ray.io}
spec:
  group: ray.io
  names: {plural: rays, kind: Ray}
  versions:
  - {name: v1, served: true, schema: {}}
  - {name: v1alpha1, served: true}
  - {name: v0, served: false}
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := resourcesOf(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.GroupVersionResource{
		{Group: "ray.io", Version: "v1", Resource: "rays"}, {Group: "ray.io", Version: "v1alpha1", Resource: "rays"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resources (-want,+got):\n%s", diff)
	}
}
