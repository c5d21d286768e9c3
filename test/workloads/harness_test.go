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
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
)

// patience is how long a test waits for something that a watch brings. It is
// long because an API server takes its time to serve a new definition.
const patience = time.Minute

const namespace = "default"

var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	podGroups   = workloads.CoschedulingGroup.Resource
	rayClusters = workloads.RayCluster.Resource
)

// cluster is the API server as one test uses it, with none of the kinds
// installed at first.
type cluster struct {
	t      *testing.T
	client dynamic.Interface
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	client, err := dynamic.NewForConfig(admin)
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	c := &cluster{t: t, client: client}
	for _, kind := range workloads.Kinds() {
		if !kind.BuiltIn {
			c.uninstall(kind.Resource.GroupResource().String())
		}
	}
	return c
}

// install creates a definition, and waits until its objects can be made.
func (c *cluster) install(definition *unstructured.Unstructured) {
	c.t.Helper()
	c.create(definitions, definition)
	name := definition.GetName()
	c.t.Cleanup(func() { c.uninstall(name) })
	c.until("definition "+name+" is established", func(ctx context.Context) (bool, error) {
		got, err := c.client.Resource(definitions).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		status, _ := got.Object["status"].(map[string]any)
		conditions, _ := status["conditions"].([]any) // null at first
		return slices.ContainsFunc(conditions, func(c any) bool {
			m := c.(map[string]any)
			return m["type"] == "Established" && m["status"] == "True"
		}), nil
	})
}

// uninstall deletes a definition, if it is there, and waits until it is gone.
func (c *cluster) uninstall(name string) {
	c.t.Helper()
	err := c.client.Resource(definitions).Delete(context.Background(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		c.t.Fatalf("deleting definition %s: %v", name, err)
	}
	c.until("definition "+name+" is gone", func(ctx context.Context) (bool, error) {
		_, err := c.client.Resource(definitions).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

func (c *cluster) create(resource schema.GroupVersionResource, u *unstructured.Unstructured) {
	c.t.Helper()
	c.until("creating "+u.GetName(), func(ctx context.Context) (bool, error) {
		_, err := c.resource(resource, u).Create(ctx, u, metav1.CreateOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil // not served yet
		}
		return err == nil, err
	})
}

// change edits an object, or with "status" that part of it.
func (c *cluster) change(resource schema.GroupVersionResource, name string, edit func(object map[string]any) error, part ...string) {
	c.t.Helper()
	c.until("changing "+name, func(ctx context.Context) (bool, error) {
		u := &unstructured.Unstructured{}
		u.SetNamespace(namespaceOf(resource))
		u, err := c.resource(resource, u).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if err := edit(u.Object); err != nil {
			return false, err
		}
		_, err = c.resource(resource, u).Update(ctx, u, metav1.UpdateOptions{}, part...)
		if apierrors.IsConflict(err) {
			return false, nil
		}
		return err == nil, err
	})
}

func (c *cluster) delete(resource schema.GroupVersionResource, name string) {
	c.t.Helper()
	err := c.client.Resource(resource).Namespace(namespace).Delete(context.Background(), name, metav1.DeleteOptions{})
	if err != nil {
		c.t.Fatalf("deleting %s: %v", name, err)
	}
}

func (c *cluster) resource(resource schema.GroupVersionResource, u *unstructured.Unstructured) dynamic.ResourceInterface {
	if u.GetNamespace() == "" {
		return c.client.Resource(resource)
	}
	return c.client.Resource(resource).Namespace(u.GetNamespace())
}

func namespaceOf(resource schema.GroupVersionResource) string {
	if resource == definitions {
		return ""
	}
	return namespace
}

func (c *cluster) until(what string, done func(context.Context) (bool, error)) {
	c.t.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, patience, true, done)
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// watch starts a watcher, for the given user or for the administrator.
func (c *cluster) watch(user string) *watched {
	c.t.Helper()
	cfg := rest.CopyConfig(admin)
	if user != "" {
		cfg.Impersonate.UserName = user
	}
	w, err := workloads.New(cfg)
	if err != nil {
		c.t.Fatalf("making the watcher: %v", err)
	}
	watched := &watched{Watcher: w, cluster: c}
	w.OnChange(watched.recordChange)
	ctx, cancel := context.WithCancel(context.Background())
	c.t.Cleanup(cancel)
	for range 2 { // as two profiles of one process do
		if err := w.Start(ctx); err != nil {
			c.t.Fatalf("starting the watcher: %v", err)
		}
	}
	return watched
}

// watched is a running watcher, and what it has told.
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

// forget starts a new count of what is told.
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
	w.cluster.t.Helper()
	w.cluster.until("the watcher has synced", func(context.Context) (bool, error) { return w.HasSynced(), nil })
}

// untilChanged waits until the watcher tells of the gang.
func (w *watched) untilChanged(key gangs.Key) {
	w.cluster.t.Helper()
	w.cluster.until(fmt.Sprintf("the watcher tells of %s", key), func(context.Context) (bool, error) { return w.times(key) > 0, nil })
}

// untilPodGroup waits until the lookup of a PodGroup says this.
func (w *watched) untilPodGroup(name, want string) {
	w.cluster.t.Helper()
	got := ""
	err := wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		got = w.podGroup(name)
		return strings.Contains(got, want), nil
	})
	if err != nil {
		w.cluster.t.Fatalf("PodGroup %s: want %q, got %q", name, want, got)
	}
}

// podGroup says what the lookup of a PodGroup answers.
func (w *watched) podGroup(name string) string {
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
	return decode(t, string(text))
}

// loose is a definition under the name of the resource that serves one version
// and accepts anything.
func loose(t *testing.T, resource schema.GroupVersionResource, kind string, versions ...string) *unstructured.Unstructured {
	t.Helper()
	served := make([]string, len(versions))
	for i, v := range versions {
		served[i] = fmt.Sprintf("{name: %s, served: true, storage: %v, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}", v, i == 0)
	}
	return decode(t, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[1]s.%[2]s
  annotations: {api-approved.kubernetes.io: unapproved}
spec:
  group: %[2]s
  scope: Namespaced
  names: {plural: %[1]s, kind: %[3]s, listKind: %[3]sList}
  versions: [%[4]s]
`, resource.Resource, resource.Group, kind, strings.Join(served, ", ")))
}

func decode(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatalf("reading a test's object: %v", err)
	}
	return u
}

func podGroup(t *testing.T, name string, minMember any) *unstructured.Unstructured {
	return decode(t, fmt.Sprintf("{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {namespace: %s, name: %s}, spec: {minMember: %v}}",
		namespace, name, minMember))
}

func setMinMember(n int64) func(map[string]any) error {
	return func(object map[string]any) error { return unstructured.SetNestedField(object, n, "spec", "minMember") }
}
