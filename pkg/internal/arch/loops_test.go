// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/sets"
)

// maxLoop is how many files of one package may reach each other. A larger loop
// has no part that a reader can understand, test or replace alone.
const maxLoop = 5

// loopsToBreak holds the largest loop of each package above maxLoop. It exists
// only during the refactoring that breaks these loops, and a loop in it may not
// grow. Lower an entry when its loop shrinks.
var loopsToBreak = map[string]int{}

func TestFilesOfAPackageFormNoLargeLoop(t *testing.T) {
	check, err := newChecker()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range packages(t).ours() {
		if len(p.GoFiles) == 0 {
			continue
		}
		graph, err := check.references(p.ImportPath, filepath.Join(root, p.short()), p.GoFiles)
		if err != nil {
			t.Errorf("checking the types of %s: %v", p.short(), err)
			continue
		}
		seen[p.short()] = true
		if loop := graph.loops()[0]; !judgeLoop(t, p.short(), loop) {
			t.Logf("these names close it:\n%s", strings.Join(graph.edges(loop), "\n"))
		}
	}
	for name := range loopsToBreak {
		if !seen[name] {
			t.Errorf("%s in loopsToBreak does not exist", name)
		}
	}
}

// judgeLoop reports whether the largest loop of a package is within its limit,
// and fails the test if not.
func judgeLoop(t *testing.T, name string, loop []string) bool {
	t.Helper()
	size := len(loop)
	if size > 1 {
		t.Logf("%s: largest loop has %d files: %s", name, size, strings.Join(loop, " "))
	} else {
		t.Logf("%s: no loop", name)
	}
	limit, listed := loopsToBreak[name]
	switch {
	case !listed && size > maxLoop:
		t.Errorf("%s: a loop of %d files, more than %d: move what they share into a file below them, or split the package", name, size, maxLoop)
	case listed && size > limit:
		t.Errorf("%s: a loop of %d files, more than the %d of loopsToBreak", name, size, limit)
	case listed && size < limit:
		t.Errorf("%s: a loop of %d files: lower its entry of %d in loopsToBreak, or delete it once it is %d or less", name, size, limit, maxLoop)
	default:
		return true
	}
	return false
}

func TestLoops(t *testing.T) {
	graph := references{}
	for from, used := range map[string][]string{"a": {"a", "b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a", "d"}} {
		graph[from] = map[string]sets.Set[string]{}
		for _, to := range used {
			graph.add(from, to, "name")
		}
	}
	want := [][]string{{"a", "b", "c"}, {"d", "e"}, {"f"}}
	if diff := cmp.Diff(want, graph.loops()); diff != "" {
		t.Errorf("loops (-want,+got):\n%s", diff)
	}
}

// adapter is the package that translates between the framework and our packages.
const adapter = "pkg/plugins/gang"

// maxAdapterLines limits the adapter without its sub-packages and tests.
const maxAdapterLines = 2000

func TestAdapterIsThin(t *testing.T) {
	lines := 0
	for _, p := range packages(t).ours() {
		if p.short() != adapter {
			continue
		}
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(root, path.Join(adapter, name)))
			if err != nil {
				t.Fatal(err)
			}
			lines += bytes.Count(text, []byte("\n"))
		}
	}
	t.Logf("%s has %d lines", adapter, lines)
	if lines == 0 || lines > maxAdapterLines {
		t.Errorf("%s has %d lines, allowed are 1 to %d: decisions belong into packages below the plugin", adapter, lines, maxAdapterLines)
	}
}
