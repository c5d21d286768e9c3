// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// startTimeout limits one start, including the build of all programs.
const startTimeout = 20 * time.Minute

// TestCluster runs a cluster of all components and a small cluster at the same time, and tests the components.
func TestCluster(t *testing.T) {
	whole := start(t, localcluster.Options{Fleets: []fleet.Spec{fleet.Default()}})
	small := start(t, localcluster.Options{
		Fleets:  []fleet.Spec{parse(t, "shape=plain,leaves=2,nodes=3")},
		Without: []string{localcluster.KubeRay, localcluster.Dovetail},
	})
	t.Run("the fleets' nodes are ready", func(t *testing.T) {
		wantNodes(t, whole, fleet.Default())
		wantNodes(t, small, parse(t, "shape=plain,leaves=2,nodes=3"))
	})
	t.Run("default-scheduler pods run", func(t *testing.T) {
		for _, cluster := range []*localcluster.Cluster{whole, small} {
			createPod(t, cluster, plainPod("plain"))
			wantRunning(t, cluster, "plain")
		}
	})
	t.Run("claims are allocated by the stock scheduler", func(t *testing.T) { testClaims(t, whole) })
	t.Run("a RayCluster and a RayJob get their pods", func(t *testing.T) { testKubeRay(t, whole) })
	t.Run("deleting a node takes its slices along", func(t *testing.T) { testNodeDeletion(t, whole) })
	t.Run("every component shows metrics and logs", func(t *testing.T) { testMetrics(t, whole) })
	t.Run("Dovetail has the rights of manifests and no more", func(t *testing.T) { testRights(t, whole) })
	t.Run("a killed component comes back", func(t *testing.T) { testRestart(t, whole) })
	t.Run("Stop leaves nothing", func(t *testing.T) {
		for _, cluster := range []*localcluster.Cluster{whole, small} {
			dir, ports := cluster.Dir(), listening(t, cluster.Dir())
			if len(ports) == 0 {
				t.Error("nothing is known to listen")
			}
			if err := cluster.Stop(); err != nil {
				t.Error(err)
			}
			wantNothingLeft(t, dir, ports)
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("the cluster's own directory is still there: %v", err)
			}
		}
	})
}

func testClaims(t *testing.T, cluster *localcluster.Cluster) {
	client := clientset(t, cluster.AdminConfig())
	createClaimTemplate(t, client)
	pod := plainPod("worker")
	pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "devices", ResourceClaimTemplateName: new("whole-node")}}
	pod.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "devices"}}
	createPod(t, cluster, pod)
	wantRunning(t, cluster, "worker")

	extended := plainPod("extended")
	extended.Spec.Containers[0].Resources.Limits = corev1.ResourceList{fleet.ExtendedResourceGPU: quantity("4")}
	createPod(t, cluster, extended)
	wantRunning(t, cluster, "extended")

	worker := getPod(t, cluster, "worker")
	claim, err := client.ResourceV1().ResourceClaims("default").Get(t.Context(), *worker.Status.ResourceClaimStatuses[0].ResourceClaimName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	devices := map[string]int{}
	for _, result := range claim.Status.Allocation.Devices.Results {
		if result.Pool != worker.Spec.NodeName {
			t.Errorf("device %s belongs to node %s, the pod to %s", result.Device, result.Pool, worker.Spec.NodeName)
		}
		devices[result.Driver]++
	}
	if devices[fleet.DriverGPU] != 8 || devices[fleet.DriverNIC] != 8 {
		t.Errorf("allocated %v, want 8 of each", devices)
	}
}

// testKubeRay applies samples of the operator's module. The RayCluster must become ready,
// and so must the RayCluster of the RayJob.
func testKubeRay(t *testing.T, cluster *localcluster.Cluster) {
	client, err := dynamic.NewForConfig(cluster.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range []string{"ray-cluster.sample.yaml", "ray-job.sample.yaml"} {
		applySample(t, cluster, sample)
	}
	var states []string
	eventually(t, "two RayClusters are ready", func() (bool, error) {
		list, err := client.Resource(rayClusters).Namespace("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		states = nil
		for _, item := range list.Items {
			states = append(states, rayState(item.Object))
		}
		return strings.Join(states, " ") == "ready ready", nil
	}, func() string { return fmt.Sprint(states) })
}

func testNodeDeletion(t *testing.T, cluster *localcluster.Cluster) {
	client := clientset(t, cluster.AdminConfig())
	spec := parse(t, "shape=ndh100v5,name=short-lived")
	if err := cluster.CreateNodes(t.Context(), spec.All()); err != nil {
		t.Fatal(err)
	}
	for node := range spec.All() {
		if err := client.CoreV1().Nodes().Delete(t.Context(), node.Name(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the node's slices are gone", func() (bool, error) {
			list, err := client.ResourceV1().ResourceSlices().List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + node.Name()})
			return err == nil && len(list.Items) == 0, err
		}, nil)
	}
}

func testMetrics(t *testing.T, cluster *localcluster.Cluster) {
	for name, wanted := range map[string]string{
		localcluster.Etcd:              "etcd_server_has_leader 1",
		localcluster.APIServer:         "apiserver_request_total",
		localcluster.ControllerManager: "workqueue_adds_total",
		localcluster.Scheduler:         "scheduler_schedule_attempts_total",
		localcluster.Kwok:              "go_goroutines",
		localcluster.KubeRay:           "controller_runtime_reconcile_total",
		localcluster.Dovetail:          "scheduler_pending_pods",
	} {
		metrics, err := cluster.Metrics(t.Context(), name)
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(metrics, wanted) {
			t.Errorf("the metrics of %s lack %s", name, wanted)
		}
		if logs, err := cluster.Logs(name); err != nil || logs == "" {
			t.Errorf("%s has logged nothing: %v", name, err)
		}
	}
	if _, err := cluster.Metrics(t.Context(), "kubelet"); err == nil {
		t.Error("a component that is not there has metrics")
	}
}

func testRights(t *testing.T, cluster *localcluster.Cluster) {
	config, err := clientcmd.BuildConfigFromFlags("", cluster.DovetailKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	dovetail := clientset(t, config)
	if _, err := dovetail.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("Dovetail may not list nodes: %v", err)
	}
	if _, err := dovetail.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("listing secrets as Dovetail: want forbidden, got %v", err)
	}
	if logs, err := cluster.Logs(localcluster.Dovetail); err != nil || strings.Contains(logs, "forbidden") {
		t.Errorf("Dovetail was refused something (%v):\n%s", err, linesWith(logs, "forbidden"))
	}
}

func testRestart(t *testing.T, cluster *localcluster.Cluster) {
	for _, name := range []string{localcluster.Scheduler, localcluster.Dovetail, localcluster.KubeRay} {
		if err := cluster.Kill(name); err != nil {
			t.Fatal(err)
		}
		if cluster.Running(name) {
			t.Errorf("%s runs after Kill", name)
		}
		if err := cluster.StartComponent(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster.StartComponent(t.Context(), localcluster.Scheduler); err == nil {
		t.Error("a running component was started again")
	}
	createPod(t, cluster, plainPod("after-restart"))
	wantRunning(t, cluster, "after-restart")
}

// start runs a cluster until the test ends.
func start(t *testing.T, options localcluster.Options) *localcluster.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	options.Out = t.Output()
	cluster, err := localcluster.Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func wantNodes(t *testing.T, cluster *localcluster.Cluster, spec fleet.Spec) {
	t.Helper()
	nodes, err := clientset(t, cluster.AdminConfig()).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) != spec.Size() {
		t.Errorf("%d nodes, want %d", len(nodes.Items), spec.Size())
	}
	for _, node := range nodes.Items {
		if len(node.Spec.Taints) > 0 || len(node.Status.Allocatable) == 0 {
			t.Errorf("node %s has taints %v and allocatable %v", node.Name, node.Spec.Taints, node.Status.Allocatable)
		}
	}
}

func clientset(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func parse(t *testing.T, text string) fleet.Spec {
	t.Helper()
	spec, err := fleet.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func linesWith(text, word string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Contains(line, word) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// sampleFile returns the path of a sample of the KubeRay operator's module.
func sampleFile(t *testing.T, name string) string {
	t.Helper()
	dir, err := localcluster.ModuleDir(t.Context(), localcluster.ModuleKubeRay)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "config", "samples", name)
}
