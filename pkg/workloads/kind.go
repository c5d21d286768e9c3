// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Kind is one kind of object that declares gangs.
type Kind struct {
	// Resource is what to watch. Its CustomResourceDefinition reports whether it
	// is there to be watched.
	Resource schema.GroupVersionResource
	// Name is the object's kind, as in "RayCluster".
	Name string
	// BuiltIn reports that the kind is part of Kubernetes and has no definition. It
	// is watched from the start, whether the API server serves it or not.
	BuiltIn bool
	// Key is the key of the gang that the object of that name declares.
	Key func(namespace, name string) gangs.Key
	// Trim makes the typed object, with no more in it than pkg/gangs reads.
	Trim func(*unstructured.Unstructured) (any, error)
	// Owner, if set, returns the key of another object that a gang declared by
	// this one is read from as well.
	Owner func(object any) (gangs.Key, bool)
	// Reader, if set, returns the key of another object whose gang this one changes.
	Reader func(object any) (gangs.Key, bool)
}

// definition is the name of the kind's CustomResourceDefinition.
func (k Kind) definition() string {
	return k.Resource.GroupResource().String()
}

// resourceOf is for kinds whose API module is not imported.
func resourceOf(apiVersion, resource string) schema.GroupVersionResource {
	group, version, _ := strings.Cut(apiVersion, "/")
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

// trimMeta keeps what the sources read of any object. Its resource version is
// left out, so that two versions that declare the same are equal.
func trimMeta(u *unstructured.Unstructured) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Namespace:         u.GetNamespace(),
		Name:              u.GetName(),
		UID:               u.GetUID(),
		CreationTimestamp: u.GetCreationTimestamp(),
		DeletionTimestamp: u.GetDeletionTimestamp(),
		OwnerReferences:   u.GetOwnerReferences(),
	}
	for key, value := range u.GetAnnotations() {
		if strings.HasPrefix(key, gangs.AnnotationPrefix) {
			metav1.SetMetaDataAnnotation(&m, key, value)
		}
	}
	return m
}

// decodeSpec reads the given fields of an object's spec into a typed one.
func decodeSpec(u *unstructured.Unstructured, into any, pick func(spec map[string]any) map[string]any) error {
	return decodePart(u, "spec", into, pick)
}

// decodePart reads the given fields of one part of an object into a typed one.
// Fields that are not named are not looked at, so that what is wrong with them
// harms nothing here.
func decodePart(u *unstructured.Unstructured, part string, into any, pick func(map[string]any) map[string]any) error {
	fields, ok := u.Object[part].(map[string]any)
	if !ok && u.Object[part] != nil {
		return fmt.Errorf("field %s holds a %T where an object is wanted", part, u.Object[part])
	}
	text, err := json.Marshal(pick(fields))
	if err != nil {
		return fmt.Errorf("encoding %s: %w", part, err)
	}
	err = json.Unmarshal(text, into)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("field %s.%s holds a %s where %s is wanted", part, wrong.Field, wrong.Value, wrong.Type)
	}
	return err
}

// pickFields returns the map with the named fields only.
func pickFields(from map[string]any, names ...string) map[string]any {
	picked := make(map[string]any, len(names))
	for _, name := range names {
		if value, ok := from[name]; ok {
			picked[name] = value
		}
	}
	return picked
}

// pickIn replaces the map at the key, if there is one, by what is picked of it.
func pickIn(from map[string]any, key string, pick func(map[string]any) map[string]any) map[string]any {
	if fields, ok := from[key].(map[string]any); ok {
		from[key] = pick(fields)
	}
	return from
}

// pickEach does with each element of the list at the key what pickIn does with a
// map.
func pickEach(from map[string]any, key string, pick func(map[string]any) map[string]any) map[string]any {
	list, ok := from[key].([]any)
	if !ok {
		return from
	}
	picked := make([]any, len(list))
	for i, element := range list {
		picked[i] = element
		if fields, ok := element.(map[string]any); ok {
			picked[i] = pick(fields)
		}
	}
	from[key] = picked
	return from
}

// pickConditions keeps of a status the conditions that are true and of a type that ends the
// object, without what is said of them.
func pickConditions(status map[string]any, ends func(condition string) bool) map[string]any {
	list, ok := status["conditions"].([]any)
	if !ok {
		return status
	}
	delete(status, "conditions")
	var picked []any
	for _, element := range list {
		condition, _ := element.(map[string]any)
		if kind, _ := condition["type"].(string); condition["status"] == "True" && ends(kind) {
			picked = append(picked, pickFields(condition, "type", "status"))
		}
	}
	if len(picked) > 0 {
		status["conditions"] = picked
	}
	return status
}
