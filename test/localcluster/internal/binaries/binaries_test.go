// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKubernetesLdflags(t *testing.T) {
	const prefix = "-X k8s.io/component-base/version."
	got := strings.Split(kubernetesLdflags("v1.37.2", "2026-10-27T12:01:04Z"), prefix)[1:]
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	want := []string{
		"gitVersion=v1.37.2", "gitMajor=1", "gitMinor=37", "gitCommit=v1.37.2", "gitTreeState=clean", "buildDate=2026-10-27T12:01:04Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables (-want,+got):\n%s", diff)
	}
}

func TestSelectedKeepsTheOrderOfBuildingAndNamesTheUnknown(t *testing.T) {
	chosen, err := selected([]string{"kwok", "etcd", "kwok"})
	if err != nil {
		t.Fatal(err)
	}
	if len(chosen) != 2 || chosen[0].name != "etcd" || chosen[1].name != "kwok" {
		t.Errorf("selected %v", chosen)
	}
	if _, err := selected([]string{"kubelet"}); err == nil || !strings.Contains(err.Error(), "kubelet") {
		t.Errorf("kubelet: %v", err)
	}
}

func TestStampFollowsWhatTheBinaryIsMadeOf(t *testing.T) {
	root := t.TempDir()
	builder := Builder{Root: root, Out: io.Discard}
	write(t, filepath.Join(root, "go.mod"), "module a")
	write(t, filepath.Join(root, "go.sum"), "")
	etcd, kwok := catalog[0], binary{name: "kwok", pkg: "sigs.k8s.io/kwok/cmd/kwok"}
	first := stamp(t, builder, etcd, versions{toolchain: "go1"}, "-s")
	for name, other := range map[string]string{
		"toolchain": stamp(t, builder, etcd, versions{toolchain: "go2"}, "-s"),
		"ldflags":   stamp(t, builder, etcd, versions{toolchain: "go1"}, "-w"),
		"package":   stamp(t, builder, kwok, versions{toolchain: "go1"}, "-s"),
	} {
		if other == first {
			t.Errorf("another %s has the same stamp", name)
		}
	}
	if again := stamp(t, builder, etcd, versions{toolchain: "go1"}, "-s"); again != first {
		t.Error("nothing has changed but the stamp")
	}
	write(t, filepath.Join(root, "go.sum"), "b v1.0.0 h1:x")
	changed := stamp(t, builder, etcd, versions{toolchain: "go1"}, "-s")
	if changed == first {
		t.Error("another go.sum has the same stamp")
	}

	if err := os.MkdirAll(builder.Dir(), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, builder.stampFile(etcd), changed)
	if builder.upToDate(etcd, changed) {
		t.Error("a binary that is not there is up to date")
	}
	write(t, builder.Path("etcd"), "")
	if !builder.upToDate(etcd, changed) || builder.upToDate(etcd, first) {
		t.Error("the stamp beside the binary does not decide")
	}
}

func TestModuleFilesAreFound(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	builder := Builder{Root: root, Out: io.Discard}
	for module, file := range map[string]string{
		ModuleKwok:             "kustomize/stage/pod/fast/pod-ready.yaml",
		ModuleKubeRay:          "config/crd/bases/ray.io_rayclusters.yaml",
		ModuleJobSet:           "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml",
		ModuleSchedulerPlugins: "config/crd/bases/scheduling.x-k8s.io_podgroups.yaml",
	} {
		dir, err := builder.ModuleDir(t.Context(), module)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(file))); err != nil {
			t.Errorf("module %s: %v", module, err)
		}
	}
}

func stamp(t *testing.T, builder Builder, binary binary, version versions, ldflags string) string {
	t.Helper()
	stamp, err := builder.stamp(binary, version, ldflags)
	if err != nil {
		t.Fatal(err)
	}
	return stamp
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
