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

// Kind is one kind of object from which Dovetail reads gangs, or a part of them.
type Kind struct {
	// Resource is the resource to watch. It is watched while its CustomResourceDefinition
	// exists.
	Resource schema.GroupVersionResource
	// Name is the API kind of the object, for example "RayCluster".
	Name string
	// BuiltIn reports that the kind is part of Kubernetes and has no
	// CustomResourceDefinition. It is watched from the start, even if the API server does
	// not serve it.
	BuiltIn bool
	// Optional is true if Dovetail can read gangs without these objects. The scheduler then
	// starts even if the API server refuses to list them.
	Optional bool
	// Key returns the key of the gang that the object with this namespace and name
	// declares. For a kind that declares no gangs, no gang has the key.
	Key func(namespace, name string) gangs.Key
	// Trim returns the typed object with only the fields that pkg/gangs reads, or an error
	// if they cannot be decoded.
	Trim func(*unstructured.Unstructured) (any, error)
	// Owner, if set, returns the key of another object that the gang of this object is
	// also read from, such as the RayCluster that owns a PodGroup.
	Owner func(object any) (gangs.Key, bool)
	// Reader, if set, returns the key of another object whose gang is also read from this
	// object, such as the JobSet of a Job.
	Reader func(object any) (gangs.Key, bool)
}

// definition returns the name of the kind's CustomResourceDefinition.
func (k Kind) definition() string {
	return k.Resource.GroupResource().String()
}

// resourceOf returns the resource of a kind whose API module is not imported.
func resourceOf(apiVersion, resource string) schema.GroupVersionResource {
	group, version, _ := strings.Cut(apiVersion, "/")
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

// trimMeta returns the metadata that pkg/gangs reads. It omits the resource version, so that
// two versions with the same declaration are equal.
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
	if seconds, ok := u.GetLabels()[gangs.MaxExecTimeLabel]; ok {
		metav1.SetMetaDataLabel(&m, gangs.MaxExecTimeLabel, seconds)
	}
	return m
}

// decodeSpec decodes the picked fields of an object's spec into a typed spec.
func decodeSpec(u *unstructured.Unstructured, into any, pick func(spec map[string]any) map[string]any) error {
	return decodePart(u, "spec", into, pick)
}

// decodePart decodes the picked fields of one part of an object, such as spec or status,
// into a typed value. It ignores all other fields, so that an error in them does no harm.
// It returns an error that names the first field of a wrong type.
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

// pickFields returns a map with only the named fields.
func pickFields(from map[string]any, names ...string) map[string]any {
	picked := make(map[string]any, len(names))
	for _, name := range names {
		if value, ok := from[name]; ok {
			picked[name] = value
		}
	}
	return picked
}

// pickIn replaces the map at the key, if there is one, by the result of pick.
func pickIn(from map[string]any, key string, pick func(map[string]any) map[string]any) map[string]any {
	if fields, ok := from[key].(map[string]any); ok {
		from[key] = pick(fields)
	}
	return from
}

// pickEach replaces each map in the list at the key by the result of pick.
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

// pickConditions keeps only those conditions of a status that are true and that end the
// object (ends returns true for their type). Of these it keeps only the fields type and
// status.
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
