// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

const namespace = "default"

var (
	coschedulingGroups = workloads.CoschedulingGroup.Resource
	rayClusters        = workloads.RayCluster.Resource
)

// shared is an API server and nothing else. All tests use it in sequence.
var shared = harness.Share(func() (localcluster.Options, error) {
	return localcluster.Options{
		Without: []string{
			localcluster.ControllerManager, localcluster.Scheduler, localcluster.Kwok, localcluster.KubeRay, localcluster.Dovetail,
		},
		Out: os.Stderr,
	}, nil
}, nil)

// TestMain stops the API server, if a test started it.
func TestMain(m *testing.M) { shared.Main(m) }

// cluster is the API server in a test. Initially none of the kinds is installed.
type cluster struct{ *harness.Env }

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{harness.New(t, shared.Cluster(t), harness.Options{
		Namespace: namespace, Unchecked: true, Logs: []string{localcluster.APIServer},
	})}
	for _, kind := range workloads.Kinds() {
		if !kind.BuiltIn {
			c.uninstall(kind.Resource.GroupResource().String())
		}
	}
	return c
}

// install creates a definition and waits until its objects can be created.
func (c *cluster) install(definition *unstructured.Unstructured) {
	c.Helper()
	c.create(harness.Definitions, definition)
	name := definition.GetName()
	c.Cleanup(func() { c.uninstall(name) })
	c.Until("definition "+name+" is established", func(ctx context.Context) string {
		got, err := c.Of(harness.Definitions).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		status, _ := got.Object["status"].(map[string]any)
		conditions, _ := status["conditions"].([]any) // null at first
		if slices.ContainsFunc(conditions, func(c any) bool {
			m := c.(map[string]any)
			return m["type"] == "Established" && m["status"] == "True"
		}) {
			return ""
		}
		return fmt.Sprintf("its conditions are %v", conditions)
	})
}

// uninstall deletes a definition, if it exists, and waits until it is gone.
func (c *cluster) uninstall(name string) {
	c.Helper()
	err := c.Of(harness.Definitions).Delete(context.Background(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		c.Fatalf("deleting definition %s: %v", name, err)
	}
	c.Until("definition "+name+" is gone", func(ctx context.Context) string {
		_, err := c.Of(harness.Definitions).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return ""
		case err != nil:
			return err.Error()
		}
		return "it is there"
	})
}

// create creates an object once its kind is served.
func (c *cluster) create(resource schema.GroupVersionResource, u *unstructured.Unstructured) {
	c.Helper()
	c.Until("creating "+u.GetName(), func(ctx context.Context) string {
		_, err := c.Of(resource).Create(ctx, u, metav1.CreateOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			c.Fatalf("creating %s %s: %v", u.GetKind(), u.GetName(), err)
		}
		return harness.Text(err)
	})
}

func (c *cluster) delete(resource schema.GroupVersionResource, name string) {
	c.Helper()
	if err := c.Of(resource).Delete(c.Context(), name, metav1.DeleteOptions{}); err != nil {
		c.Fatalf("deleting %s: %v", name, err)
	}
}

// watch starts a watcher, for the given user or for the administrator.
func (c *cluster) watch(user string) *watched {
	c.Helper()
	cfg := c.Cluster.AdminConfig()
	if user != "" {
		cfg.Impersonate.UserName = user
	}
	w, err := workloads.New(cfg)
	if err != nil {
		c.Fatalf("making the watcher: %v", err)
	}
	watched := &watched{Watcher: w, cluster: c}
	w.OnChange(watched.recordChange)
	ctx, cancel := context.WithCancel(context.Background())
	c.Cleanup(cancel)
	for range 2 { // Two profiles of a process both call Start.
		if err := w.Start(ctx); err != nil {
			c.Fatalf("starting the watcher: %v", err)
		}
	}
	return watched
}

// watched is a running watcher with the changes that it has reported.
type watched struct {
	*workloads.Watcher
	cluster *cluster

	mu      sync.Mutex
	changes []gangs.Key
}

func (w *watched) recordChange(key gangs.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, key)
}

// forget resets the changes.
func (w *watched) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = nil
}

func (w *watched) times(key gangs.Key) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, k := range w.changes {
		if k == key {
			n++
		}
	}
	return n
}

func (w *watched) untilSynced() {
	w.cluster.Helper()
	w.cluster.Eventually("the watcher has synced", w.HasSynced)
}

// untilChanged waits until the watcher reports a change of the gang.
func (w *watched) untilChanged(key gangs.Key) {
	w.cluster.Helper()
	w.cluster.Eventually(fmt.Sprintf("the watcher reports a change of %s", key), func() bool { return w.times(key) > 0 })
}

// untilCoschedulingGroup waits until the lookup of a PodGroup returns a text.
func (w *watched) untilCoschedulingGroup(name, want string) {
	w.cluster.Helper()
	w.cluster.Until(fmt.Sprintf("PodGroup %s: want %q", name, want), func(context.Context) string {
		if got := w.coschedulingGroup(name); !strings.Contains(got, want) {
			return fmt.Sprintf("got %q", got)
		}
		return ""
	})
}

// coschedulingGroup returns the minimum or the error of the lookup of a PodGroup.
func (w *watched) coschedulingGroup(name string) string {
	g, err := w.CoschedulingGroup(namespace, name)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("minMember %d", g.Spec.MinMember)
}

// shipped reads a definition from the module that defines the kind.
func shipped(t *testing.T, module, file string) *unstructured.Unstructured {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("finding module %s: %v", module, err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), file))
	if err != nil {
		t.Fatalf("reading the definition: %v", err)
	}
	return harness.Decode(t, string(text))
}

func coschedulingGroup(t *testing.T, name string, minMember any) *unstructured.Unstructured {
	return harness.Decode(t, fmt.Sprintf("{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {namespace: %s, name: %s}, spec: {minMember: %v}}",
		namespace, name, minMember))
}

func setMinMember(n int64) func(*unstructured.Unstructured) error {
	return func(u *unstructured.Unstructured) error {
		return unstructured.SetNestedField(u.Object, n, "spec", "minMember")
	}
}
