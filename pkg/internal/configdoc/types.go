// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	v1 "github.com/dovetail-dev/dovetail/pkg/apis/config/v1"
)

// typeDoc describes one type of the plugins' arguments.
type typeDoc struct {
	Text   string
	Fields []fieldDoc
}

// fieldDoc describes one field as a user writes it in YAML.
type fieldDoc struct {
	Name string
	Type string
	// Default is the default as JSON, which is YAML too. It is empty if the field is
	// required, and "none" if the field is optional and has no default.
	Default string
	Text    string
}

// defaulted has, by name of a type, a value of the type in which every optional field has
// its default.
func defaulted() map[string]any {
	gang, topology, aware := &v1.GangArgs{}, &v1.TopologyArgs{}, &v1.DRAAwareArgs{}
	v1.SetGangDefaults(gang)
	v1.SetTopologyDefaults(topology)
	v1.SetDRAAwareDefaults(aware)
	levels := &v1.TopologyArgs{Levels: make([]v1.TopologyLevel, 1)}
	v1.SetTopologyDefaults(levels)
	return map[string]any{
		"GangArgs":      gang,
		"TopologyArgs":  topology,
		"TopologyLevel": &levels.Levels[0],
		"DRAAwareArgs":  aware,
	}
}

func parseTypes(dir string) (map[string]typeDoc, error) {
	pkg, err := parsePackage(dir)
	if err != nil {
		return nil, err
	}
	defaults := defaulted()
	out := map[string]typeDoc{}
	for _, typ := range pkg.Types {
		value, ok := defaults[typ.Name]
		if !ok {
			return nil, fmt.Errorf("type %s has no entry in defaulted", typ.Name)
		}
		fields, err := parseFields(typ, value)
		if err != nil {
			return nil, fmt.Errorf("type %s: %w", typ.Name, err)
		}
		out[typ.Name] = typeDoc{Text: markdown(typ.Doc), Fields: fields}
	}
	return out, nil
}

func parsePackage(dir string) (*doc.Package, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return doc.NewFromFiles(fset, files, "v1")
}

// parseFields describes the fields of a struct in the order of the source.
func parseFields(typ *doc.Type, defaults any) ([]fieldDoc, error) {
	spec, ok := typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType)
	if !ok {
		return nil, fmt.Errorf("is not a struct")
	}
	value := reflect.ValueOf(defaults).Elem()
	var out []fieldDoc
	for _, field := range spec.Fields.List {
		if len(field.Names) == 0 {
			continue // the embedded TypeMeta
		}
		described, err := parseField(field, value)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", field.Names[0], err)
		}
		out = append(out, described)
	}
	return out, nil
}

func parseField(field *ast.Field, defaults reflect.Value) (fieldDoc, error) {
	goName := field.Names[0].Name
	structField, ok := defaults.Type().FieldByName(goName)
	if !ok {
		return fieldDoc{}, fmt.Errorf("is not in the compiled type")
	}
	name, options, _ := strings.Cut(structField.Tag.Get("json"), ",")
	// The comment of a field begins with the field's Go name. The generated page has the
	// name that is written in YAML.
	text := strings.Replace(markdown(field.Doc.Text()), goName, "`"+name+"`", 1)
	out := fieldDoc{Name: name, Type: typeName(structField.Type), Text: text}
	if !strings.Contains(options, "omitempty") {
		return out, nil
	}
	value := defaults.FieldByName(goName)
	if value.IsNil() {
		out.Default = "none"
		return out, nil
	}
	encoded, err := json.Marshal(value.Interface())
	out.Default = strings.ReplaceAll(strings.Trim(string(encoded), `"`), `","`, `", "`)
	return out, err
}

// typeName says in a user's words what a field holds.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list of " + typeName(t.Elem()) + "s"
	case reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Bool:
		return "boolean"
	case reflect.Struct:
		if t.Name() == "Duration" {
			return "duration"
		}
		return t.Name()
	default:
		return t.Name()
	}
}

// markdown turns a Go comment into Markdown without a trailing newline.
func markdown(text string) string {
	var parser comment.Parser
	printer := comment.Printer{HeadingLevel: 4}
	return strings.TrimSpace(string(printer.Markdown(parser.Parse(text))))
}
