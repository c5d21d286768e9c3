// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
	"github.com/dovetail-dev/dovetail/test/harness"
)

// gangOf returns the gang from the source of the key, without pods.
func gangOf(w *watched, key gangs.Key) (gangs.Gang, error) {
	return gangs.NewSources(w).Gang(key, nil)
}

// Each kind that is not part of Kubernetes may be installed while a watcher runs.
func TestEveryKindIsWatchedOnceInstalled(t *testing.T) {
	objects := map[string]struct {
		spec string
		min  int
	}{
		workloads.CoschedulingGroup.Resource.String(): {"{minMember: 4}", 4},
		workloads.VolcanoPodGroup.Resource.String():   {"{minMember: 5}", 5},
		workloads.RayCluster.Resource.String():        {"{workerGroupSpecs: [{groupName: w, replicas: 5}]}", 6},
		workloads.RayJob.Resource.String():            {"{activeDeadlineSeconds: 60}", 60},
		workloads.JobSet.Resource.String():            {"{replicatedJobs: [{name: w, replicas: 7, template: {spec: {parallelism: 1, completions: 1}}}]}", 7},
		workloads.LeaderWorkerSet.Resource.String():   {"{startupPolicy: LeaderReady}", 0},
	}
	for _, kind := range workloads.Kinds() {
		if kind.BuiltIn {
			continue
		}
		t.Run(kind.Name+" of "+kind.Resource.Group, func(t *testing.T) {
			object, ok := objects[kind.Resource.String()]
			if !ok {
				t.Fatal("the test has no object of this kind")
			}
			c := newCluster(t)
			w := c.watch("")
			w.untilSynced()
			key := kind.Key(namespace, "a")
			if _, err := readMinimum(w, kind, key); !errors.Is(err, gangs.ErrNotInstalled) {
				t.Fatalf("want ErrNotInstalled, got %v", err)
			}
			c.install(harness.LooseDefinition(t, kind.Resource.GroupResource(), kind.Name, kind.Resource.Version))
			c.create(kind.Resource, harness.Decode(t, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {namespace: %s, name: a}, spec: %s}",
				kind.Resource.GroupVersion(), kind.Name, namespace, object.spec)))
			w.untilChanged(key)
			got := 0
			c.Until("the object is read", func(context.Context) string {
				var err error
				got, err = readMinimum(w, kind, key)
				return harness.Text(err)
			})
			if got != object.min {
				t.Errorf("min: want %d, got %d", object.min, got)
			}
		})
	}
}

// A group of a LeaderWorkerSet is notified if the object appears after its pods: the object
// does not name its groups.
func TestGroupThatMissedItsObjectIsNotified(t *testing.T) {
	kind := workloads.LeaderWorkerSet
	c := newCluster(t)
	c.install(harness.LooseDefinition(t, kind.Resource.GroupResource(), kind.Name, kind.Resource.Version))
	w := c.watch("")
	w.untilSynced()
	group := gangs.LeaderWorkerSetKey(namespace, "vllm-0")
	c.Until("the kind is watched", func(context.Context) string {
		if _, err := w.LeaderWorkerSet(group, namespace, "vllm"); !errors.Is(err, gangs.ErrNotFound) {
			return harness.Text(err)
		}
		return ""
	})
	before := w.times(group)
	c.create(kind.Resource, harness.Decode(t, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {namespace: %s, name: vllm}, spec: {startupPolicy: LeaderReady}}",
		kind.Resource.GroupVersion(), kind.Name, namespace)))
	c.Eventually("the watcher reports the group", func() bool { return w.times(group) > before })
}

// readMinimum returns the minimum that the object declares. A LeaderWorkerSet declares
// it on its pods, not on the object. For a RayJob, which declares no gang, it returns the
// deadline.
func readMinimum(w *watched, kind workloads.Kind, key gangs.Key) (int, error) {
	if kind.Name == workloads.LeaderWorkerSet.Name {
		_, err := w.LeaderWorkerSet(key, key.Namespace, key.Name)
		return 0, err
	}
	if kind.Name == workloads.RayJob.Name {
		job, err := w.RayJob(key, key.Namespace, key.Name)
		if err != nil {
			return 0, err
		}
		return int(*job.Spec.ActiveDeadlineSeconds), nil
	}
	g, err := gangOf(w, key)
	return g.Min, err
}

// The gang of a RayCluster that a RayJob made is also read from the RayJob, so a change of the
// RayJob is reported for the gang, and for the gang of a PodGroup that the RayCluster owns.
func TestRayJobBehindARayCluster(t *testing.T) {
	c := newCluster(t)
	for _, kind := range []workloads.Kind{workloads.RayJob, workloads.RayCluster, workloads.CoschedulingGroup} {
		c.install(harness.LooseDefinition(t, kind.Resource.GroupResource(), kind.Name, kind.Resource.Version))
	}
	c.create(workloads.RayJob.Resource, harness.Decode(t, fmt.Sprintf(`{apiVersion: ray.io/v1, kind: RayJob,
		metadata: {namespace: %s, name: train}, spec: {activeDeadlineSeconds: 60, shutdownAfterJobFinishes: true}}`, namespace)))
	job, err := c.Of(workloads.RayJob.Resource).Get(c.Context(), "train", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.create(workloads.RayCluster.Resource, harness.Decode(t, fmt.Sprintf(`{apiVersion: ray.io/v1, kind: RayCluster,
		metadata: {namespace: %s, name: a, ownerReferences: [{apiVersion: ray.io/v1, kind: RayJob, name: train, uid: %s, controller: true}]},
		spec: {workerGroupSpecs: [{groupName: w, replicas: 5}]}}`, namespace, job.GetUID())))
	c.create(coschedulingGroups, harness.Decode(t, fmt.Sprintf(`{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup,
		metadata: {namespace: %s, name: g, ownerReferences: [{apiVersion: ray.io/v1, kind: RayCluster, name: a, uid: %s}]},
		spec: {minMember: 6}}`, namespace, job.GetUID())))
	w := c.watch("")
	w.untilSynced()
	key := gangs.RayClusterKey(namespace, "a")
	untilLimit := func(want string) {
		c.Until("the time limit is "+want, func(context.Context) string {
			g, err := gangOf(w, key)
			if got := g.RunTime.Limit.Duration.String(); err != nil || got != want {
				return fmt.Sprintf("it is %s, %v", got, err)
			}
			return ""
		})
	}
	untilLimit("1m0s")
	w.untilChanged(key)
	w.untilChanged(gangs.CoschedulingKey(namespace, "g"))
	w.forget()
	c.Edit(workloads.RayJob.Resource, "train", func(u *unstructured.Unstructured) error {
		return unstructured.SetNestedField(u.Object, int64(90), "spec", "activeDeadlineSeconds")
	})
	w.untilChanged(key)
	w.untilChanged(gangs.CoschedulingKey(namespace, "g"))
	untilLimit("1m30s")
}

// The watcher reads kinds of Kubernetes itself at once, and returns ErrNotInstalled if
// the API server does not serve them.
func TestBuiltInKinds(t *testing.T) {
	c := newCluster(t)
	w := c.watch("")
	w.untilSynced()
	_, err := gangOf(w, gangs.PodGroupKey(namespace, "a"))
	if !errors.Is(err, gangs.ErrNotInstalled) {
		t.Errorf("a PodGroup that is not served: want ErrNotInstalled, got %v", err)
	}
	key := gangs.JobKey(namespace, "a")
	if _, err := gangOf(w, key); !errors.Is(err, gangs.ErrNotFound) {
		t.Errorf("a Job that is not there: want ErrNotFound, got %v", err)
	}
	c.create(workloads.Job.Resource, harness.Decode(t, fmt.Sprintf(`{apiVersion: batch/v1, kind: Job,
		metadata: {namespace: %s, name: a, labels: {dovetail.dev/gang: "true"}},
		spec: {parallelism: 3, completions: 3, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}`, namespace)))
	w.untilChanged(key)
	if g, err := gangOf(w, key); err != nil || g.Min != 3 {
		t.Errorf("a Job that asks: want min 3, got %d, %v", g.Min, err)
	}
	w.forget()
	c.delete(workloads.Job.Resource, "a")
	w.untilChanged(key)
}
