// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	v1 "github.com/dovetail-dev/dovetail/pkg/apis/config/v1"
)

// DecodeGangArgs converts the arguments that the scheduler passes to the factory of the
// plugin Gang (which places gangs of pods) into complete, valid arguments. A nil obj gives
// the defaults.
func DecodeGangArgs(obj runtime.Object) (*GangArgs, error) {
	in, err := decode[v1.GangArgs](KindGangArgs, obj)
	if err != nil {
		return nil, err
	}
	v1.SetGangDefaults(in)
	args := convertGang(in)
	return checked(KindGangArgs, args, validateGang(args))
}

// DecodeTopologyArgs converts the arguments that the scheduler passes to the factory of the
// plugin Topology (which knows the levels of the network) into complete, valid arguments. A
// preset, the name of a built-in list of levels, is replaced by its levels. A nil obj gives
// the defaults.
func DecodeTopologyArgs(obj runtime.Object) (*TopologyArgs, error) {
	in, err := decode[v1.TopologyArgs](KindTopologyArgs, obj)
	if err != nil {
		return nil, err
	}
	v1.SetTopologyDefaults(in)
	errs := validateTopology(in)
	return checked(KindTopologyArgs, convertTopology(in), errs)
}

// DecodeDRAAwareArgs converts the arguments that the scheduler passes to the factory of the
// plugin DRAAware (which runs the stock DynamicResources plugin inside it) into complete,
// valid arguments. A nil obj gives the defaults.
func DecodeDRAAwareArgs(obj runtime.Object) (*DRAAwareArgs, error) {
	in, err := decode[v1.DRAAwareArgs](KindDRAAwareArgs, obj)
	if err != nil {
		return nil, err
	}
	v1.SetDRAAwareDefaults(in)
	args := convertDRAAware(in)
	return checked(KindDRAAwareArgs, args, validateDRAAware(args))
}

// checked returns the arguments, or every error that validation found.
func checked[T any](kind Kind, args *T, errs field.ErrorList) (*T, error) {
	if len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", kind, errs.ToAggregate())
	}
	return args, nil
}

// object is a pointer to a type of plugin arguments in version v1.
type object[T any] interface {
	*T
	runtime.Object
}

// decode returns obj as a *T. obj is what the scheduler passes to a factory, or a *T,
// which tests and tools that build a profile in Go use. A *T is copied, because setting
// defaults changes it.
func decode[T any, P object[T]](kind Kind, obj runtime.Object) (*T, error) {
	switch in := obj.(type) {
	case nil:
		return new(T), nil
	case P:
		return in.DeepCopyObject().(P), nil
	case *runtime.Unknown:
		out, err := decodeUnknown[T](kind, in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		return out, nil
	default:
		return nil, fmt.Errorf("%s: cannot be read from a %T", kind, obj)
	}
}

func decodeUnknown[T any](kind Kind, in *runtime.Unknown) (*T, error) {
	out := new(T)
	if len(in.Raw) == 0 {
		return out, nil
	}
	raw, err := toJSON(in)
	if err != nil {
		return nil, err
	}
	if err := checkTypeMeta(kind, raw); err != nil {
		return nil, err
	}
	strict, err := kjson.UnmarshalStrict(raw, out)
	if err != nil {
		return nil, blameField[T](raw, err)
	}
	if len(strict) > 0 {
		return nil, runtime.NewStrictDecodingError(strict)
	}
	return out, nil
}

// toJSON returns the arguments as JSON. It refuses YAML with duplicate keys; in JSON the
// strict decoder finds them.
func toJSON(in *runtime.Unknown) ([]byte, error) {
	switch in.ContentType {
	case "", runtime.ContentTypeJSON:
		return in.Raw, nil
	case runtime.ContentTypeYAML:
		return yaml.YAMLToJSONStrict(in.Raw)
	default:
		return nil, fmt.Errorf("content type %q is not supported", in.ContentType)
	}
}

// checkTypeMeta refuses arguments with another apiVersion or kind than expected. Either may
// be absent.
func checkTypeMeta(kind Kind, raw []byte) error {
	var meta metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &meta); err != nil {
		return fmt.Errorf("reading apiVersion and kind: %w", err)
	}
	if want := v1.GroupVersion.String(); meta.APIVersion != "" && meta.APIVersion != want {
		return field.NotSupported(field.NewPath("apiVersion"), meta.APIVersion, []string{want})
	}
	if meta.Kind != "" && meta.Kind != string(kind) {
		return field.NotSupported(field.NewPath("kind"), meta.Kind, []Kind{kind})
	}
	return nil
}

// blameField returns the error of decoding with the name of the top-level field that cannot
// be decoded. Some decoders, such as that of durations, report only the value.
func blameField[T any](raw []byte, cause error) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return cause
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text, err := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		if err != nil {
			return cause
		}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(text, new(T)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return cause
}
