// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
	"github.com/dovetail-dev/dovetail/test/harness"
)

const (
	podGroupModule = "sigs.k8s.io/scheduler-plugins"
	podGroupFile   = "config/crd/bases/scheduling.x-k8s.io_podgroups.yaml"
	rayModule      = "github.com/ray-project/kuberay/ray-operator"
	rayFile        = "config/crd/bases/ray.io_rayclusters.yaml"
)

func key(name string) gangs.Key { return gangs.CoschedulingKey(namespace, name) }

// Before Start a lookup does not return ErrNotFound, because the state is unknown.
func TestLookupBeforeStart(t *testing.T) {
	w, err := workloads.New(shared.Cluster(t).AdminConfig())
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	if w.HasSynced() {
		t.Error("it has synced before it started")
	}
	if _, err := w.CoschedulingGroup(namespace, "a"); !errors.Is(err, gangs.ErrNotRead) {
		t.Errorf("want ErrNotRead, got %v", err)
	}
}

// A kind is installed, changed, deleted and installed again while a watcher runs.
func TestKindInstalledRemovedAndInstalledAgain(t *testing.T) {
	c := newCluster(t)
	w := c.watch("")

	w.untilSynced() // nothing is installed, and nothing is waited for
	_, err := w.CoschedulingGroup(namespace, "a")
	if !errors.Is(err, gangs.ErrNotInstalled) {
		t.Fatalf("want ErrNotInstalled, got %v", err)
	}
	w.untilCoschedulingGroup("a", "podgroup default/a cannot exist: version v1alpha1 of CustomResourceDefinition podgroups.scheduling.x-k8s.io is not installed")

	w.forget()
	c.install(shipped(t, podGroupModule, podGroupFile))
	w.untilChanged(key("a")) // who asked in vain hears that the reason is another one
	w.untilCoschedulingGroup("a", "podgroup default/a does not exist")
	if _, err := w.CoschedulingGroup(namespace, "a"); !errors.Is(err, gangs.ErrNotFound) {
		t.Errorf("want ErrNotFound, got %v", err)
	}

	c.create(coschedulingGroups, coschedulingGroup(t, "a", 4))
	w.untilChanged(key("a"))
	w.untilCoschedulingGroup("a", "minMember 4")

	w.untilCoschedulingGroup("b", "podgroup default/b does not exist")
	w.forget()
	c.uninstall("podgroups.scheduling.x-k8s.io")
	w.untilChanged(key("a"))
	w.untilChanged(key("b"))
	w.untilCoschedulingGroup("a", "is not installed")

	w.forget()
	c.install(shipped(t, podGroupModule, podGroupFile))
	c.create(coschedulingGroups, coschedulingGroup(t, "a", 6))
	w.untilChanged(key("a"))
	w.untilCoschedulingGroup("a", "minMember 6")
}

// The watcher reports every change of a declaration, and no other change.
func TestStatusChangesAreNotReported(t *testing.T) {
	c := newCluster(t)
	c.install(shipped(t, podGroupModule, podGroupFile))
	c.create(coschedulingGroups, coschedulingGroup(t, "a", 4))
	w := c.watch("")
	w.untilSynced()
	if got := w.coschedulingGroup("a"); got != "minMember 4" {
		t.Fatalf("synced, but it says %q", got)
	}
	w.untilChanged(key("a"))
	w.forget()

	for range 5 {
		c.Edit(coschedulingGroups, "a", func(u *unstructured.Unstructured) error {
			running, _, err := unstructured.NestedInt64(u.Object, "status", "running")
			if err != nil {
				return err
			}
			return unstructured.SetNestedField(u.Object, running+1, "status", "running")
		}, "status")
	}
	c.Edit(coschedulingGroups, "a", setMinMember(5))
	w.untilCoschedulingGroup("a", "minMember 5")
	w.untilChanged(key("a"))
	if n := w.times(key("a")); n != 1 {
		t.Errorf("want 1 reported change for 5 writes to status and 1 to minMember, got %d", n)
	}

	w.forget()
	c.delete(coschedulingGroups, "a")
	w.untilChanged(key("a"))
	w.untilCoschedulingGroup("a", "does not exist")
}

// The cluster has an older or a newer KubeRay: the definition exists, but not in
// the version that the watcher reads.
func TestVersionThatIsNotServed(t *testing.T) {
	c := newCluster(t)
	c.install(harness.LooseDefinition(t, coschedulingGroups.GroupResource(), "PodGroup", "v1"))
	w := c.watch("")
	w.untilSynced()
	w.untilCoschedulingGroup("a", "version v1alpha1 of CustomResourceDefinition podgroups.scheduling.x-k8s.io is not installed")

	c.Edit(harness.Definitions, "podgroups.scheduling.x-k8s.io", func(u *unstructured.Unstructured) error {
		versions, _, err := unstructured.NestedSlice(u.Object, "spec", "versions")
		if err != nil {
			return err
		}
		other := harness.LooseDefinition(t, coschedulingGroups.GroupResource(), "PodGroup", "v1", "v1alpha1")
		added, _, err := unstructured.NestedSlice(other.Object, "spec", "versions")
		if err != nil {
			return err
		}
		return unstructured.SetNestedSlice(u.Object, append(versions, added[1]), "spec", "versions")
	})
	w.untilCoschedulingGroup("a", "does not exist")
	c.create(coschedulingGroups, coschedulingGroup(t, "a", 4))
	w.untilCoschedulingGroup("a", "minMember 4")
}

// A malformed object does not affect others.
func TestMalformedObjectBesideGoodOnes(t *testing.T) {
	c := newCluster(t)
	c.install(harness.LooseDefinition(t, coschedulingGroups.GroupResource(), "PodGroup", "v1alpha1"))
	c.create(coschedulingGroups, coschedulingGroup(t, "bad", "four"))
	c.create(coschedulingGroups, coschedulingGroup(t, "good", 4))
	w := c.watch("")
	w.untilSynced()
	w.untilCoschedulingGroup("good", "minMember 4")
	w.untilCoschedulingGroup("bad", "podgroup default/bad is malformed: field spec.minMember holds a string where int32 is wanted")

	g, err := gangs.NewSources(w).Gang(key("bad"), nil)
	if err != nil || g.Problem == "" || g.Owner.UID == "" {
		t.Errorf("want a gang with a problem and an owner for its events, got %+v, %v", g, err)
	}

	w.forget()
	c.Edit(coschedulingGroups, "bad", setMinMember(3))
	w.untilChanged(key("bad"))
	w.untilCoschedulingGroup("bad", "minMember 3")
}

// The watcher may list the definition but not its objects. The error names the
// reason and is not ErrNotFound. It ends once the role allows the list.
func TestObjectsThatMayNotBeRead(t *testing.T) {
	c := newCluster(t)
	c.install(shipped(t, podGroupModule, podGroupFile))
	c.create(coschedulingGroups, coschedulingGroup(t, "a", 4))
	c.allow("weak", "apiextensions.k8s.io", "customresourcedefinitions")
	c.allow("weak", "batch", "jobs")
	c.allow("weak", "scheduling.k8s.io", "podgroups")
	w := c.watch("weak")
	w.untilCoschedulingGroup("a", `podgroup default/a could not be read so far: `)
	w.untilCoschedulingGroup("a", `is forbidden`)
	w.untilCoschedulingGroup("b", `is forbidden`)
	w.forget()
	if w.HasSynced() {
		t.Error("it has synced without having read anything")
	}

	c.allow("weak", "scheduling.x-k8s.io", "podgroups")
	w.untilSynced()
	w.untilChanged(key("b"))
	w.untilCoschedulingGroup("a", "minMember 4")
}

// RayJobs only limit how long gangs run. A role without the right to list them, such as that of
// an older installation, does not keep the scheduler from starting.
func TestRayJobsThatMayNotBeRead(t *testing.T) {
	c := newCluster(t)
	c.install(harness.LooseDefinition(t, workloads.RayJob.Resource.GroupResource(), workloads.RayJob.Name, workloads.RayJob.Resource.Version))
	c.allow("old", "apiextensions.k8s.io", "customresourcedefinitions")
	c.allow("old", "batch", "jobs")
	c.allow("old", "scheduling.k8s.io", "podgroups")
	w := c.watch("old")
	w.untilSynced()
	if _, err := w.RayJob(gangs.RayClusterKey(namespace, "a"), namespace, "train"); !strings.Contains(harness.Text(err), "is forbidden") {
		t.Errorf("want that the lookup is forbidden, got %v", err)
	}
}

// The gang of a PodGroup that a RayCluster owns is read from the RayCluster, so a
// change of the RayCluster is reported for both keys.
func TestRayClusterBehindAPodGroup(t *testing.T) {
	c := newCluster(t)
	c.install(shipped(t, podGroupModule, podGroupFile))
	c.install(shipped(t, rayModule, rayFile))
	ray := harness.Decode(t, `
apiVersion: ray.io/v1
kind: RayCluster
metadata: {namespace: default, name: a, annotations: {dovetail.dev/topology-required: leaf}}
spec:
  headGroupSpec: {rayStartParams: {}, template: {spec: {containers: [{name: head, image: ray}]}}}
  workerGroupSpecs:
  - {groupName: gpu, replicas: 2, minReplicas: 0, maxReplicas: 9, rayStartParams: {}, template: {spec: {containers: [{name: worker, image: ray}]}}}
`)
	c.create(rayClusters, ray)
	group := coschedulingGroup(t, "other-name", 9)
	unstructured.RemoveNestedField(group.Object, "metadata", "ownerReferences")
	if err := unstructured.SetNestedSlice(group.Object, []any{
		map[string]any{"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "a", "uid": "00000000-0000-0000-0000-000000000000"},
	}, "metadata", "ownerReferences"); err != nil {
		t.Fatalf("owning the PodGroup: %v", err)
	}
	c.create(coschedulingGroups, group)

	w := c.watch("")
	w.untilSynced()
	sources := gangs.NewSources(w)
	for _, k := range []gangs.Key{gangs.RayClusterKey(namespace, "a"), key("other-name")} {
		g, err := sources.Gang(k, nil)
		if err != nil || g.Min != 3 || g.Topology.Required != "leaf" {
			t.Errorf("%s: want min 3 in one leaf, got %+v, %v", k, g, err)
		}
	}

	w.untilChanged(key("other-name"))
	w.forget()
	c.Edit(rayClusters, "a", func(u *unstructured.Unstructured) error {
		groups, _, err := unstructured.NestedSlice(u.Object, "spec", "workerGroupSpecs")
		if err != nil {
			return err
		}
		groups[0].(map[string]any)["replicas"] = int64(5)
		return unstructured.SetNestedSlice(u.Object, groups, "spec", "workerGroupSpecs")
	})
	w.untilChanged(gangs.RayClusterKey(namespace, "a"))
	w.untilChanged(key("other-name"))
	if g, err := sources.Gang(key("other-name"), nil); err != nil || g.Min != 6 {
		t.Errorf("want min 6 after the resize, got %+v, %v", g, err)
	}
}

// allow lets a user read a resource.
func (c *cluster) allow(user, group, resource string) {
	c.Helper()
	name := user + "-" + resource + "." + group
	roles := schema.GroupVersionResource{Group: rbacv1.GroupName, Version: "v1", Resource: "clusterroles"}
	bindings := schema.GroupVersionResource{Group: rbacv1.GroupName, Version: "v1", Resource: "clusterrolebindings"}
	c.create(roles, harness.Decode(c.T, `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: `+name+`},
		rules: [{apiGroups: [`+group+`], resources: [`+resource+`], verbs: [get, list, watch]}]}`))
	c.create(bindings, harness.Decode(c.T, `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: `+name+`},
		roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: `+name+`},
		subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: `+user+`}]}`))
	c.Cleanup(func() {
		for _, r := range []schema.GroupVersionResource{roles, bindings} {
			if err := c.Of(r).Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
				c.Errorf("deleting %s %s: %v", r.Resource, name, err)
			}
		}
	})
}
