// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// buildWith builds the installation with opt-in components, from outside, as an
// administrator's own kustomization does.
func buildWith(t *testing.T, components ...string) resmap.ResMap {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	base, err := filepath.Rel(dir, here)
	if err != nil {
		t.Fatal(err)
	}
	overlay := kustomize.Kustomization{Resources: []string{base}}
	for _, component := range components {
		overlay.Components = append(overlay.Components, filepath.Join(base, component))
	}
	text, err := yaml.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func TestComponentsAddWhatTheySay(t *testing.T) {
	plain := names(buildWith(t))
	built := buildWith(t, "native-groups", "scheduler-name")
	added := slices.DeleteFunc(names(built), func(name string) bool { return slices.Contains(plain, name) })
	want := []string{
		"ClusterRole /dovetail-native-groups",
		"ClusterRoleBinding /dovetail-native-groups",
		"MutatingAdmissionPolicy /dovetail-native-groups-jobset",
		"MutatingAdmissionPolicy /dovetail-native-groups-ray",
		"MutatingAdmissionPolicy /dovetail-scheduler-name",
		"MutatingAdmissionPolicyBinding /dovetail-native-groups-jobset",
		"MutatingAdmissionPolicyBinding /dovetail-native-groups-ray",
		"MutatingAdmissionPolicyBinding /dovetail-scheduler-name-by-namespace",
		"MutatingAdmissionPolicyBinding /dovetail-scheduler-name-by-pod",
		"Role dovetail-system/dovetail-native-groups",
		"RoleBinding dovetail-system/dovetail-native-groups",
	}
	if diff := cmp.Diff(want, added); diff != "" {
		t.Errorf("objects that the components add (-want,+got):\n%s", diff)
	}
	for _, res := range built.Resources() {
		if res.GetKind() != "Deployment" {
			continue
		}
		var deployment appsv1.Deployment
		if err := yaml.Unmarshal([]byte(res.MustYaml()), &deployment); err != nil {
			t.Fatal(err)
		}
		if args := deployment.Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--native-groups") {
			t.Errorf("the scheduler is not told of native-groups: %q", args)
		}
	}
}

// The component evictions, which is on, adds the right to evict and no more.
func TestRightsOfEvictions(t *testing.T) {
	if !slices.Contains(names(buildWith(t)), "ClusterRole /dovetail-evictions") {
		t.Error("the installation lacks the component")
	}
	evict := on("", []string{"pods/eviction"}, "create")
	if diff := cmp.Diff([]rbacv1.PolicyRule{evict}, first[*rbacv1.ClusterRole](t, "evictions/rbac.yaml").Rules); diff != "" {
		t.Errorf("rights (-want,+got):\n%s", diff)
	}
	if granted := overlap(first[*rbacv1.ClusterRole](t, "rbac.yaml").Rules, evict); len(granted) > 0 {
		t.Errorf("the installation without the component may evict: %v", granted)
	}
}

// The controller may make and change PodGroups, and hold its own lease, and no
// more.
func TestRightsOfThePodGroupController(t *testing.T) {
	const file = "native-groups/rbac.yaml"
	want := []rbacv1.PolicyRule{on("scheduling.k8s.io", []string{"podgroups"}, "create", "patch")}
	if diff := cmp.Diff(want, first[*rbacv1.ClusterRole](t, file).Rules); diff != "" {
		t.Errorf("rights (-want,+got):\n%s", diff)
	}
	lease := on("coordination.k8s.io", []string{"leases"}, "get", "update")
	lease.ResourceNames = []string{loadSchedulerConfig(t).LeaderElection.ResourceName + "-native-groups"}
	if diff := cmp.Diff([]rbacv1.PolicyRule{lease}, first[*rbacv1.Role](t, file).Rules); diff != "" {
		t.Errorf("rights on leases (-want,+got):\n%s", diff)
	}
}
