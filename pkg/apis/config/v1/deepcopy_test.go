// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestCopiesShareNothing fills every field of every type, so that a field added
// later and forgotten in DeepCopyObject fails here.
func TestCopiesShareNothing(t *testing.T) {
	for _, in := range []runtime.Object{&GangArgs{}, &TopologyArgs{}, &DRAAwareArgs{}} {
		t.Run(fmt.Sprintf("%T", in), func(t *testing.T) {
			fill(t, reflect.ValueOf(in).Elem())
			out := in.DeepCopyObject()
			if diff := cmp.Diff(in, out); diff != "" {
				t.Errorf("the copy differs (-original,+copy):\n%s", diff)
			}
			requireApart(t, "", reflect.ValueOf(in), reflect.ValueOf(out))
		})
	}
}

// fill sets everything below v to something that is not zero.
func fill(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.String:
		v.SetString("filled")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	default:
		t.Fatalf("fill does not know how to fill a %s", v.Type())
	}
}

// requireApart fails when a pointer or slice of one is that of the other.
func requireApart(t *testing.T, path string, original, two reflect.Value) {
	switch original.Kind() {
	case reflect.Pointer:
		if original.Pointer() == two.Pointer() {
			t.Errorf("%s is shared", path)
		}
		requireApart(t, path, original.Elem(), two.Elem())
	case reflect.Slice:
		if original.Pointer() == two.Pointer() {
			t.Errorf("%s is shared", path)
		}
		for i := range original.Len() {
			requireApart(t, fmt.Sprintf("%s[%d]", path, i), original.Index(i), two.Index(i))
		}
	case reflect.Struct:
		for i := range original.NumField() {
			requireApart(t, path+"."+original.Type().Field(i).Name, original.Field(i), two.Field(i))
		}
	}
}

func TestCopyOfNilIsNil(t *testing.T) {
	var gang *GangArgs
	var topology *TopologyArgs
	var aware *DRAAwareArgs
	for _, in := range []runtime.Object{gang, topology, aware} {
		if out := in.DeepCopyObject(); out != nil {
			t.Errorf("the copy of a nil %T is %v", in, out)
		}
	}
}
