// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// notHere are the samples that cannot run in a local cluster, each with the reason.
var notHere = map[string]string{
	"ray-cluster.gke-bucket.yaml":              "needs a service account and a bucket of GKE",
	"ray-cluster.persistent-redis.yaml":        "needs a volume provisioner",
	"ray-cluster.kai-gpu-sharing.yaml":         "needs the CRDs of the KAI scheduler",
	"ray-cluster.kai-scheduler.yaml":           "needs the CRDs of the KAI scheduler",
	"ray-cluster.volcano-scheduler-queue.yaml": "needs the CRDs of Volcano",
	"ray-cluster.tpu-v4-multihost.yaml":        "needs TPU nodes of GKE",
	"ray-cluster.tpu-v4-singlehost.yaml":       "needs TPU nodes of GKE",
	"ray-cluster.tpu-v6e-16-multihost.yaml":    "needs TPU nodes of GKE",
	"ray-cluster.tpu-v6e-256-multihost.yaml":   "needs TPU nodes of GKE",
	"ray-cluster.tpu-v6e-singlehost.yaml":      "needs TPU nodes of GKE",
}

// KubeRay's own samples must become ready with an added schedulerName as the only change.
func TestKubeRaySamples(t *testing.T) {
	e := onGPUs(t)
	dir := moduleDir(t, "github.com/ray-project/kuberay/ray-operator")
	files, err := filepath.Glob(filepath.Join(dir, "config", "samples", "ray-cluster.*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples in %s: %v", dir, err)
	}
	ran := 0
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			if why := notHere[name]; why != "" {
				t.Skip(why)
			}
			e.runSample(t, file)
		})
		if notHere[name] == "" {
			ran++
		}
	}
	t.Logf("%d of %d samples ran", ran, len(files))
}

func (e *env) runSample(t *testing.T, file string) {
	objects, clusters := withScheduler(t, file)
	e.kubectl(t, objects, "apply", "--server-side", "-f", "-")
	sample := &env{e.WithT(t)}
	for _, cluster := range clusters {
		sample.Eventually("RayCluster "+cluster+" is ready", func() bool { return sample.rayReady(cluster) })
		for _, pod := range sample.Pods("ray.io/cluster=" + cluster) {
			if pod.Spec.SchedulerName != profile {
				t.Errorf("pod %s was scheduled by %s", pod.Name, pod.Spec.SchedulerName)
			}
		}
	}
	e.kubectl(t, objects, "delete", "--wait=false", "-f", "-")
	sample.Gone("")
}

// withScheduler reads a sample and adds the schedulerName to each pod template of its
// RayClusters. It returns the text and the names of the RayClusters.
func withScheduler(t *testing.T, file string) (text []byte, clusters []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("reading a sample: %v", err)
	}
	var out bytes.Buffer
	for _, doc := range strings.Split(string(content), "\n---") {
		var obj unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(doc), &obj.Object); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		if len(obj.Object) == 0 {
			continue
		}
		if obj.GetKind() == "RayCluster" {
			clusters = append(clusters, obj.GetName())
			addScheduler(t, &obj)
		}
		encoded, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatalf("writing %s: %v", file, err)
		}
		fmt.Fprintf(&out, "---\n%s", encoded)
	}
	return out.Bytes(), clusters
}

func addScheduler(t *testing.T, obj *unstructured.Unstructured) {
	t.Helper()
	if err := unstructured.SetNestedField(obj.Object, profile, "spec", "headGroupSpec", "template", "spec", "schedulerName"); err != nil {
		t.Fatalf("adding the schedulerName to the head: %v", err)
	}
	groups, _, err := unstructured.NestedSlice(obj.Object, "spec", "workerGroupSpecs")
	if err != nil {
		t.Fatalf("reading worker groups: %v", err)
	}
	for _, group := range groups {
		if err := unstructured.SetNestedField(group.(map[string]any), profile, "template", "spec", "schedulerName"); err != nil {
			t.Fatalf("adding the schedulerName to a worker group: %v", err)
		}
	}
	if len(groups) == 0 {
		return
	}
	if err := unstructured.SetNestedSlice(obj.Object, groups, "spec", "workerGroupSpecs"); err != nil {
		t.Fatalf("writing worker groups: %v", err)
	}
}

// A worker that requests the extended resource nvidia.com/gpu must get devices through DRA.
func TestExtendedResourceBackedByDRA(t *testing.T) {
	e := onGPUs(t)
	cluster := newRayCluster("legacy", 4)
	worker := &cluster.Spec.WorkerGroupSpecs[0].Template.Spec
	worker.ResourceClaims, worker.Containers[0].Resources.Claims = nil, nil
	gpus := newPod("", asking("1", "1Gi")).Spec.Containers[0].Resources
	gpus.Requests["nvidia.com/gpu"] = *newQuantity(8)
	gpus.Limits = gpus.Requests.DeepCopy()
	worker.Containers[0].Resources = gpus
	e.rayCluster(cluster)
	e.Whole("ray.io/cluster=legacy", 5)
	if leaves := e.Domains("ray.io/group=workers", fleet.LabelLeaf); len(leaves) != 1 {
		t.Errorf("the workers are on leaves %v, want one leaf", leaves)
	}
	if nodes := e.Domains("ray.io/group=workers", "kubernetes.io/hostname"); len(nodes) != 4 {
		t.Errorf("the workers are on nodes %v, want one each", nodes)
	}
	e.Eventually("the RayCluster is ready", func() bool { return e.rayReady("legacy") })
}

// kubectl runs the real kubectl in the test's namespace and returns its output.
func (e *env) kubectl(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	cmd := e.Cluster.Kubectl(t.Context(), append([]string{"--namespace", e.Namespace}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// moduleDir returns the directory of a module's files.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("finding module %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}
