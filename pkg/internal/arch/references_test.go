// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
)

// references is the graph of the files of one package. An edge leads from a
// file to each file whose package-level names, methods or fields it uses, and
// holds these names.
type references map[string]map[string]sets.Set[string]

// checker resolves the names of our packages by type.
type checker struct {
	files    *token.FileSet
	importer types.Importer
}

// newChecker reads the types of imported packages from the compiler's export
// data. go list writes these data and compiles packages that are not in Go's
// build cache yet. The standard library can read them, so this module needs no
// requirement on golang.org/x/tools.
func newChecker() (*checker, error) {
	exports, err := exportData()
	if err != nil {
		return nil, err
	}
	open := func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("go list has no export data of %s: does it compile?", path)
		}
		return os.Open(exports[path])
	}
	files := token.NewFileSet()
	return &checker{files: files, importer: importer.ForCompiler(files, "gc", open)}, nil
}

// exportData returns the file with the export data of each package, by import path.
func exportData() (map[string]string, error) {
	cmd := exec.Command("go", "list", "-e", "-export", "-deps", "-json=ImportPath,Export", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -export: %w: %s", err, stderr.String())
	}
	exports := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return exports, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the output of go list -export: %w", err)
		}
		exports[p.ImportPath] = p.Export
	}
}

// references returns the graph of the production files of a package.
func (c *checker) references(importPath, dir string, names []string) (references, error) {
	graph := references{}
	var parsed []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(c.files, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, file)
		graph[name] = map[string]sets.Set[string]{}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: c.importer}
	checked, err := config.Check(importPath, c.files, parsed, info)
	if err != nil {
		return nil, err
	}
	for ident, object := range info.Uses {
		if object.Pkg() == checked && isShared(object) {
			graph.add(c.fileOf(ident), c.fileOf(object), object.Name())
		}
	}
	return graph, nil
}

func (r references) add(from, to, name string) {
	if r[from][to] == nil {
		r[from][to] = sets.New[string]()
	}
	r[from][to].Insert(name)
}

// edges returns a line for each edge inside a loop, with the names that make it.
func (r references) edges(loop []string) []string {
	var out []string
	for _, from := range loop {
		for _, to := range loop {
			if names := r[from][to]; from != to && names.Len() > 0 {
				out = append(out, fmt.Sprintf("%s -> %s: %s", from, to, strings.Join(sets.List(names), " ")))
			}
		}
	}
	return out
}

// isShared reports whether files share the object: true of package-level
// declarations, methods and fields, false of what is local to a function.
func isShared(object types.Object) bool {
	switch object := object.(type) {
	case *types.Func:
		return true // functions have no local declarations
	case *types.Var:
		return object.IsField() || object.Parent() == object.Pkg().Scope()
	}
	return object.Parent() == object.Pkg().Scope()
}

func (c *checker) fileOf(at interface{ Pos() token.Pos }) string {
	return filepath.Base(c.files.Position(at.Pos()).Filename)
}

// loops returns the strongly connected components of the graph, the largest
// first. Two files are in the same component if each reaches the other.
func (r references) loops() [][]string {
	reached := map[string]map[string]bool{}
	for file := range r {
		reached[file] = r.reachedFrom(file)
	}
	var out [][]string
	done := map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(r)) {
		if done[file] {
			continue
		}
		loop := []string{file}
		for _, other := range slices.Sorted(maps.Keys(reached[file])) {
			if other != file && reached[other][file] {
				loop = append(loop, other)
				done[other] = true
			}
		}
		out = append(out, loop)
	}
	slices.SortStableFunc(out, func(a, b []string) int { return len(b) - len(a) })
	return out
}

func (r references) reachedFrom(file string) map[string]bool {
	reached := map[string]bool{file: true}
	for queue := []string{file}; len(queue) > 0; queue = queue[1:] {
		for next := range r[queue[0]] {
			if !reached[next] {
				reached[next] = true
				queue = append(queue, next)
			}
		}
	}
	return reached
}
