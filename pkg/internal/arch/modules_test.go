// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"encoding/json"
	"os/exec"
	"slices"
	"testing"
)

// requirement is a line of go.mod.
type requirement struct {
	Path     string
	Indirect bool
}

func requirements(t *testing.T) []requirement {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit -json: %v", err)
	}
	var file struct{ Require []requirement }
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	return file.Require
}

// TestGoModSaysWhatIsImported is the part of go mod tidy that matters to a
// reader: a requirement is direct exactly when code of this module imports it.
// The other part, the test dependencies of dependencies, would have to be
// fetched.
func TestGoModSaysWhatIsImported(t *testing.T) {
	requires := requirements(t)
	importers := map[string]string{}
	for _, p := range packages(t).ours() {
		for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			importers[moduleOf(path, requires)] = p.short()
		}
	}
	for _, require := range requires {
		importer, imported := importers[require.Path]
		if imported && require.Indirect {
			t.Errorf("%s is imported by %s, but go.mod calls it indirect", require.Path, importer)
		}
		if !imported && !require.Indirect {
			t.Errorf("%s is not imported, but go.mod does not call it indirect", require.Path)
		}
	}
}

// moduleOf returns the required module that holds a package, which is the one
// with the longest path; it is empty for the standard library and ourselves.
func moduleOf(importPath string, requires []requirement) string {
	longest := ""
	for _, require := range requires {
		if matches(require.Path+"/...", importPath) && len(require.Path) > len(longest) {
			longest = require.Path
		}
	}
	return longest
}
