// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var moduleRow = regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+\\.[a-z]+/[^`]+)` \\| [^|]+ \\| [^|]+ \\|$")

// docs/security.md names each direct module with its reason, and no other.
func TestSecurityNamesTheModules(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	var named, direct []string
	for _, found := range moduleRow.FindAllStringSubmatch(string(text), -1) {
		named = append(named, found[1])
	}
	for _, require := range requirements(t) {
		if !require.Indirect {
			direct = append(direct, require.Path)
		}
	}
	slices.Sort(named)
	slices.Sort(direct)
	if diff := cmp.Diff(direct, named); diff != "" {
		t.Errorf("modules (-go.mod,+docs/security.md):\n%s", diff)
	}
}
