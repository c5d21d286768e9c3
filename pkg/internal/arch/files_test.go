// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const header = "// Copyright The Dovetail Authors.\n// SPDX-License-Identifier: Apache-2.0\n\n"

// maxLines is where a file asks for a split.
const maxLines = 400

// longFiles are the files that may be longer, each with what makes a split
// worse than the length. Delete an entry once its file is short again.
var longFiles = map[string]string{}

// vagueNames say nothing about what a package holds, so everything ends up there.
var vagueNames = []string{"util", "utils", "common", "core", "helper", "helpers", "base", "misc", "shared", "lib"}

// sources returns every Go file of the checkout, of all its modules.
func sources(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".cache" || entry.Name() == ".git"):
			return filepath.SkipDir
		case path.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, name)
		out[filepath.ToSlash(short)] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("found no Go file")
	}
	return out
}

func TestEveryFileHasTheHeader(t *testing.T) {
	for name, text := range sources(t) {
		if !bytes.HasPrefix(text, []byte(header)) {
			t.Errorf("%s does not start with the licence header and an empty line", name)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	all := sources(t)
	for name, text := range all {
		lines := bytes.Count(text, []byte("\n"))
		_, allowed := longFiles[name]
		switch {
		case lines > maxLines && !allowed:
			t.Errorf("%s has %d lines, more than %d: split it by concept, or justify it in longFiles", name, lines, maxLines)
		case lines <= maxLines && allowed:
			t.Errorf("%s has %d lines: delete it from longFiles", name, lines)
		}
	}
	for name, reason := range longFiles {
		if _, ok := all[name]; !ok {
			t.Errorf("%s in longFiles does not exist", name)
		}
		if len(strings.Fields(reason)) < 5 {
			t.Errorf("%s in longFiles needs a reason, not %q", name, reason)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t).ours() {
		if len(p.GoFiles)+len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			continue // go list -e reports folders of which no file builds here
		}
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.short())
		}
		if !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go", p.short())
		}
		if slices.Contains(vagueNames, path.Base(p.ImportPath)) {
			t.Errorf("%s is named after nothing: name what it holds", p.short())
		}
	}
}
