// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/test/gangs/table"
)

func TestRowsAreTheSourcesInTheirOrder(t *testing.T) {
	var want, got []string
	for _, source := range gangs.NewSources(nil) {
		want = append(want, source.Name())
	}
	for _, row := range table.Rows {
		got = append(got, row.Source)
		if len(row.Cases) == 0 {
			t.Errorf("source %s is not tested", row.Source)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want,+got):\n%s", diff)
	}
}

// Every trap has its test, and every test of a trap is listed.
func TestTrapsAreTested(t *testing.T) {
	files, err := filepath.Glob("../../../pkg/gangs/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if name, ok := strings.CutPrefix(line, "func TestTrap"); ok {
				name, _, _ = strings.Cut(name, "(")
				got = append(got, "TestTrap"+name)
			}
		}
	}
	for _, trap := range table.Traps {
		want = append(want, trap.Test)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("traps in the table, and tests in pkg/gangs (-table,+tests):\n%s", diff)
	}
}

// What a row says of its controller's version is what the modules pin.
func TestVersionsAreThoseOfTheModules(t *testing.T) {
	for name, at := range map[string]struct{ dir, module string }{
		"KubeRay operator ":        {"../../localcluster/kuberay", "github.com/ray-project/kuberay/ray-operator"},
		"JobSet controller ":       {"../../localcluster/jobset", "sigs.k8s.io/jobset"},
		"kube-controller-manager ": {".", "k8s.io/kubernetes"},
		"kube-apiserver ":          {".", "k8s.io/kubernetes"},
	} {
		cmd := exec.Command("go", "list", "-m", "-f", "{{.Version}}", at.module)
		cmd.Dir = at.dir
		version, err := cmd.Output()
		if err != nil {
			t.Fatalf("asking for the version of %s: %v", at.module, err)
		}
		want := name + strings.TrimSpace(string(version))
		for _, row := range table.Rows {
			for _, c := range row.Cases {
				if strings.Contains(c.With, name) && !strings.Contains(c.With, want) {
					t.Errorf("%s/%s is tested with %q, want %q", row.Source, c.Name, c.With, want)
				}
			}
		}
	}
}
