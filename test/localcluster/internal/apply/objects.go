// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// decodeBuffer is the number of bytes that the decoder examines to detect YAML or JSON.
const decodeBuffer = 4096

// Read decodes every object of the files in dir whose names match the pattern, in the order of the names.
func Read(dir fs.FS, pattern string) ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(dir, pattern)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", pattern, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no file matches %s", pattern)
	}
	var objects []*unstructured.Unstructured
	for _, name := range names {
		content, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		decoded, err := Decode(content)
		if err != nil {
			return nil, fmt.Errorf("decoding %s: %w", path.Base(name), err)
		}
		objects = append(objects, decoded...)
	}
	return objects, nil
}

// Decode reads a stream of YAML documents. It skips empty documents.
func Decode(content []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), decodeBuffer)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// FromTyped converts typed objects, whose apiVersion and kind must be set, to unstructured objects.
func FromTyped(typed ...runtime.Object) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, object := range typed {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return nil, fmt.Errorf("converting %T: %w", object, err)
		}
		objects = append(objects, &unstructured.Unstructured{Object: content})
	}
	return objects, nil
}
