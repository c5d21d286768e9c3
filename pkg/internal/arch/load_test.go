// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// module is the path of the main module.
const module = "github.com/dovetail-dev/dovetail"

// root is the folder of the main module.
const root = "../../.."

// pkg is what go list says about one package.
type pkg struct {
	ImportPath, Doc                    string
	Standard, DepOnly                  bool
	Imports, TestImports, XTestImports []string
	GoFiles, TestGoFiles, XTestGoFiles []string
}

// short is the import path without the module.
func (p *pkg) short() string { return shorten(p.ImportPath) }

func shorten(path string) string { return strings.TrimPrefix(path, module+"/") }

// graph is every package of the main module and all that they need, by import
// path.
type graph map[string]*pkg

// load asks go list once for all tests. A package that does not compile is the
// compiler's to report, not this test's.
var load = sync.OnceValues(func() (graph, error) {
	cmd := exec.Command("go", "list", "-e", "-deps",
		"-json=ImportPath,Doc,Standard,DepOnly,Imports,TestImports,XTestImports,GoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	packages := graph{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the output of go list: %w", err)
		}
		packages[p.ImportPath] = &p
	}
})

func packages(t *testing.T) graph {
	t.Helper()
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(all.ours()) == 0 {
		t.Fatal("go list found no package of this module")
	}
	return all
}

// ours returns the packages of the main module in order of their paths.
func (g graph) ours() []*pkg {
	var out []*pkg
	for _, p := range g {
		if !p.DepOnly {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *pkg) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return out
}

// chain returns the shortest way from a package to one that the pattern
// matches, following imports of production code, or nil if there is none.
func (g graph) chain(from string, match func(string) bool) []string {
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != from && match(at) {
			return trail(came, at)
		}
		if p := g[at]; p != nil {
			for _, next := range p.Imports {
				if _, seen := came[next]; !seen {
					came[next] = at
					queue = append(queue, next)
				}
			}
		}
	}
	return nil
}

func trail(came map[string]string, at string) []string {
	var out []string
	for ; at != ""; at = came[at] {
		out = append(out, shorten(at))
	}
	slices.Reverse(out)
	return out
}

// matches reports whether an import path, without the module, is the pattern or,
// where the pattern ends in /..., lies at or below it.
func matches(pattern, path string) bool {
	tree, ok := strings.CutSuffix(pattern, "/...")
	if !ok {
		return pattern == path
	}
	return path == tree || strings.HasPrefix(path, tree+"/")
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, path) })
}
