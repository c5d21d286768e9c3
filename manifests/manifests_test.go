// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	kubeconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	kubescheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/validation"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
)

var strictCodecs = serializer.NewCodecFactory(clientscheme.Scheme, serializer.EnableStrict)

// load decodes a manifest strictly into the types that it is of.
func load(name string) ([]runtime.Object, error) {
	text, err := FS.ReadFile(name)
	if err != nil {
		return nil, err
	}
	switch path.Base(name) {
	case "kustomization.yaml":
		return nil, yaml.UnmarshalStrict(text, &kustomize.Kustomization{})
	case "scheduler-config.yaml":
		obj, _, err := kubescheme.Codecs.UniversalDecoder().Decode(text, nil, nil)
		return []runtime.Object{obj}, err
	}
	var out []runtime.Object
	for _, doc := range strings.Split(string(text), "\n---\n") {
		obj, _, err := strictCodecs.UniversalDeserializer().Decode([]byte(doc), nil, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, obj)
	}
	return out, nil
}

func TestEveryManifestLoads(t *testing.T) {
	loaded := 0
	err := fs.WalkDir(FS, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if _, err := load(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		loaded++
		return nil
	})
	if err != nil || loaded < 11 {
		t.Errorf("loaded %d manifests: %v", loaded, err)
	}
}

// first returns the first object of type T in a manifest.
func first[T runtime.Object](t *testing.T, name string) (found T) {
	t.Helper()
	objects, err := load(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	isT := func(obj runtime.Object) bool { _, ok := obj.(T); return ok }
	i := slices.IndexFunc(objects, isT)
	if i < 0 {
		t.Fatalf("%s has no %T", name, found)
	}
	return objects[i].(T)
}

func loadSchedulerConfig(t *testing.T) *kubeconfig.KubeSchedulerConfiguration {
	t.Helper()
	logger, _ := ktesting.NewTestContext(t)
	cfg, err := options.LoadConfigFromFile(logger, "scheduler-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestSchedulerConfigIsValid(t *testing.T) {
	cfg := loadSchedulerConfig(t)
	if err := validation.ValidateKubeSchedulerConfiguration(cfg); err != nil {
		t.Error(err)
	}
	for _, profile := range cfg.Profiles {
		for _, plugin := range profile.PluginConfig {
			var err error
			switch plugin.Name {
			case "Gang":
				_, err = config.DecodeGangArgs(plugin.Args)
			case "Topology":
				_, err = config.DecodeTopologyArgs(plugin.Args)
			case "DRAAware":
				_, err = config.DecodeDRAAwareArgs(plugin.Args)
			}
			if err != nil {
				t.Errorf("profile %s: plugin %s: %v", profile.SchedulerName, plugin.Name, err)
			}
		}
	}
}

// TestProfilesDifferInNameOnly: a gang is placed alike whichever of the two
// names its controller wrote.
func TestProfilesDifferInNameOnly(t *testing.T) {
	cfg := loadSchedulerConfig(t)
	var names []string
	for i := range cfg.Profiles {
		names = append(names, cfg.Profiles[i].SchedulerName)
		cfg.Profiles[i].SchedulerName = ""
	}
	if diff := cmp.Diff([]string{"dovetail", "scheduler-plugins-scheduler"}, names); diff != "" {
		t.Fatalf("profiles (-want,+got):\n%s", diff)
	}
	if diff := cmp.Diff(cfg.Profiles[0], cfg.Profiles[1]); diff != "" {
		t.Errorf("profiles differ (-dovetail,+scheduler-plugins-scheduler):\n%s", diff)
	}
}

// TestLeaseIsTheOneThatTheRoleAllows: the name of the lease stands in two files.
func TestLeaseIsTheOneThatTheRoleAllows(t *testing.T) {
	role := first[*rbacv1.Role](t, "rbac.yaml")
	var allowed []string
	for _, rule := range role.Rules {
		allowed = append(allowed, rule.ResourceNames...)
	}
	lease := loadSchedulerConfig(t).LeaderElection
	if diff := cmp.Diff([]string{lease.ResourceName}, allowed); diff != "" {
		t.Errorf("names of leases in the role (-want,+got):\n%s", diff)
	}
	if role.Namespace != lease.ResourceNamespace {
		t.Errorf("the role is in namespace %s, the lease in %s", role.Namespace, lease.ResourceNamespace)
	}
}

// TestPodMeetsItsNamespace: the namespace refuses pods below its level.
func TestPodMeetsItsNamespace(t *testing.T) {
	namespace := first[*corev1.Namespace](t, "namespace.yaml")
	level := api.Level(namespace.Labels[api.EnforceLevelLabel])
	if level != api.LevelRestricted {
		t.Fatalf("the namespace enforces %q", level)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pod := first[*appsv1.Deployment](t, "deployment.yaml").Spec.Template
	version := api.LevelVersion{Level: level, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(version, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			t.Errorf("refused: %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

// TestKustomizationBuilds runs what kubectl apply -k runs.
func TestKustomizationBuilds(t *testing.T) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), ".")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ClusterRole /dovetail-evictions", "ClusterRole /dovetail-scheduler",
		"ClusterRoleBinding /dovetail-evictions", "ClusterRoleBinding /dovetail-scheduler",
		"ConfigMap dovetail-system/dovetail-config",
		"Deployment dovetail-system/dovetail",
		"Namespace /dovetail-system",
		"Role dovetail-system/dovetail-leader-election",
		"RoleBinding dovetail-system/dovetail-leader-election",
		"RoleBinding kube-system/dovetail-authentication-reader",
		"ServiceAccount dovetail-system/dovetail",
	}
	if diff := cmp.Diff(want, names(built)); diff != "" {
		t.Errorf("objects (-want,+got):\n%s", diff)
	}
	requireConfigMounted(t, built)
}

// names lists what was built, without the hash that ends a generated name.
func names(built resmap.ResMap) []string {
	var out []string
	for _, res := range built.Resources() {
		name := res.GetName()
		if strings.HasPrefix(name, "dovetail-config-") {
			name = "dovetail-config"
		}
		out = append(out, res.GetKind()+" "+res.GetNamespace()+"/"+name)
	}
	slices.Sort(out)
	return out
}

// requireConfigMounted checks that the pod mounts the generated ConfigMap and
// is told of the file in it.
func requireConfigMounted(t *testing.T, built resmap.ResMap) {
	t.Helper()
	var deployment appsv1.Deployment
	var configMap corev1.ConfigMap
	for _, res := range built.Resources() {
		var err error
		switch res.GetKind() {
		case "Deployment":
			err = yaml.Unmarshal([]byte(res.MustYaml()), &deployment)
		case "ConfigMap":
			err = yaml.Unmarshal([]byte(res.MustYaml()), &configMap)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	pod := deployment.Spec.Template.Spec
	if got := pod.Volumes[0].ConfigMap.Name; got != configMap.Name {
		t.Errorf("the pod mounts ConfigMap %q, built was %q", got, configMap.Name)
	}
	const file = "scheduler-config.yaml"
	if diff := cmp.Diff(string(SchedulerConfig), configMap.Data[file]); diff != "" {
		t.Errorf("configuration in the ConfigMap (-want,+got):\n%s", diff)
	}
	want := "--config=" + pod.Containers[0].VolumeMounts[0].MountPath + "/" + file
	if got := pod.Containers[0].Args[0]; got != want {
		t.Errorf("the first argument is %q, want %q", got, want)
	}
}
