// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// reconcilerFixture is a PodGroups reconciler with a fake clientset, which holds the
// groups, and with at most one RayCluster and one JobSet.
type reconcilerFixture struct {
	gangs.Objects // nil: lookups without an override are never called
	*testing.T
	client  *fake.Clientset
	events  *events.FakeRecorder
	groups  *PodGroups
	cluster *rayv1.RayCluster
	set     *gangs.JobSet
	served  bool
}

func newReconcilerFixture(t *testing.T) *reconcilerFixture {
	d := &reconcilerFixture{T: t, client: fake.NewClientset(), events: events.NewFakeRecorder(100), served: true}
	d.groups = NewPodGroups(d.client.SchedulingV1beta1(), d, d.events)
	return d
}

func (d *reconcilerFixture) RayCluster(namespace, name string) (*rayv1.RayCluster, error) {
	if d.cluster == nil || d.cluster.Name != name {
		return nil, &gangs.LookupError{Key: gangs.RayClusterKey(namespace, name), Reason: gangs.ErrNotFound}
	}
	return d.cluster, nil
}

func (d *reconcilerFixture) JobSet(namespace, name string) (*gangs.JobSet, error) {
	if d.set == nil || d.set.Name != name {
		return nil, &gangs.LookupError{Key: gangs.JobSetKey(namespace, name), Reason: gangs.ErrNotFound}
	}
	return d.set, nil
}

func (d *reconcilerFixture) PodGroup(namespace, name string) (*schedulingv1beta1.PodGroup, error) {
	key := gangs.PodGroupKey(namespace, name)
	if !d.served {
		return nil, &gangs.LookupError{Key: key, Reason: gangs.ErrNotInstalled}
	}
	group, err := d.client.SchedulingV1beta1().PodGroups(namespace).Get(d.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, &gangs.LookupError{Key: key, Reason: gangs.ErrNotFound}
	}
	return group, err
}

// look reconciles the RayCluster and the JobSet, and returns the verbs of the writes and
// the events.
func (d *reconcilerFixture) look() (writes, said []string) {
	d.Helper()
	d.client.ClearActions()
	for _, key := range []gangs.Key{gangs.RayClusterKey("ml", "a"), gangs.JobSetKey("ml", "a")} {
		if err := d.groups.reconcile(d.Context(), key); err != nil {
			d.Errorf("reconciling %s: %v", key, err)
		}
	}
	for _, action := range d.client.Actions() {
		if action.GetVerb() != "get" {
			writes = append(writes, action.GetVerb())
		}
	}
	for {
		select {
		case text := <-d.events.Events:
			said = append(said, text)
		default:
			return writes, said
		}
	}
}

func (d *reconcilerFixture) want(writes ...string) []string {
	d.Helper()
	got, said := d.look()
	if diff := cmp.Diff(writes, got); diff != "" {
		d.Fatalf("writes (-want,+got):\n%s\nsaid: %q", diff, said)
	}
	return said
}

func (d *reconcilerFixture) wantSaid(said []string, sentence string) {
	d.Helper()
	if len(said) != 1 || !strings.Contains(said[0], sentence) {
		d.Fatalf("said %q, want one sentence with %q", said, sentence)
	}
}

func (d *reconcilerFixture) group(uid types.UID) *schedulingv1beta1.PodGroup {
	d.Helper()
	group, err := d.client.SchedulingV1beta1().PodGroups("ml").Get(d.Context(), gangs.PodGroupName("a", uid), metav1.GetOptions{})
	if err != nil {
		d.Fatal(err)
	}
	return group
}

var gangOwner = corev1.ObjectReference{APIVersion: "ray.io/v1", Kind: "RayCluster", Namespace: "ml", Name: "a", UID: "uid-of-a"}

// asking returns RayCluster ml/a with one worker group, whose pods request a PodGroup.
func asking(workers int32) *rayv1.RayCluster {
	c := &rayv1.RayCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "a", UID: "uid-of-a",
		Annotations: map[string]string{gangs.RequiredAnnotation: "leaf", gangs.TimeLimitAnnotation: "120m"}}}
	c.Spec.WorkerGroupSpecs = []rayv1.WorkerGroupSpec{{GroupName: "gpu", Replicas: &workers, NumOfHosts: 1}}
	mark := map[string]string{gangs.MakePodGroupLabel: "true"}
	c.Spec.HeadGroupSpec.Template.Labels, c.Spec.WorkerGroupSpecs[0].Template.Labels = mark, mark
	c.Spec.HeadGroupSpec.Template.Spec.PriorityClassName = "high"
	c.Spec.WorkerGroupSpecs[0].Template.Spec.PriorityClassName = "high"
	return c
}

func TestGroupOfARayClusterIsMadeAndKept(t *testing.T) {
	d := newReconcilerFixture(t)
	d.cluster = asking(4)
	d.wantSaid(d.want("create"), "5 pods start together")
	want := &schedulingv1beta1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ml", Name: "a-uid-of-a", Annotations: map[string]string{gangs.RequiredAnnotation: "leaf", gangs.TimeLimitAnnotation: "2h0m0s"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "ray.io/v1", Kind: "RayCluster", Name: "a", UID: "uid-of-a", Controller: new(true)}},
		},
		Spec: schedulingv1beta1.PodGroupSpec{
			SchedulingPolicy:  schedulingv1beta1.PodGroupSchedulingPolicy{Gang: &schedulingv1beta1.GangSchedulingPolicy{MinCount: 5}},
			PriorityClassName: "high",
		},
	}
	got := d.group("uid-of-a")
	got.ManagedFields, got.TypeMeta = nil, metav1.TypeMeta{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("PodGroup (-want,+got):\n%s", diff)
	}
	if said := d.want(); len(said) > 0 {
		t.Errorf("nothing changed, and it said %q", said)
	}

	d.cluster = asking(2)
	d.cluster.Annotations = map[string]string{gangs.PreferredAnnotation: "leaf"}
	// The fake client rejects a patch with a UID that it did not assign.
	if change, err := groupChange(gangs.Gang{Min: 3, Topology: gangs.Topology{Preferred: "leaf"}}, got); err != nil ||
		string(change) != `{"metadata":{"annotations":{"dovetail.dev/time-limit":null,"dovetail.dev/topology-preferred":"leaf","dovetail.dev/topology-required":null},"uid":""},"spec":{"schedulingPolicy":{"gang":{"minCount":3}}}}` {
		t.Errorf("the change is %s, %v", change, err)
	}
	d.want("patch")
	if got := d.group("uid-of-a"); got.Spec.SchedulingPolicy.Gang.MinCount != 3 || got.Annotations[gangs.RequiredAnnotation] != "" {
		t.Errorf("after the resize the group is %v, %+v", got.Annotations, got.Spec.SchedulingPolicy)
	}
	d.cluster.Spec.Suspend = new(true)
	d.want() // a suspended cluster keeps the size of its group
	d.cluster.Spec.Suspend = nil
	d.cluster.Spec.WorkerGroupSpecs[0].Template.Labels = nil
	d.wantSaid(d.want(), "not on that of worker group gpu")
}

func TestGroupOfAJobSet(t *testing.T) {
	d := newReconcilerFixture(t)
	two, three := int32(2), int32(3)
	job := gangs.ReplicatedJob{Name: "w", Replicas: &two}
	job.Template.Spec.Parallelism, job.Template.Spec.Completions = &three, &three
	d.set = &gangs.JobSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "a", UID: "uid-of-set"}, Spec: gangs.JobSetSpec{ReplicatedJobs: []gangs.ReplicatedJob{job}}}
	d.want() // the JobSet requests no group
	d.set.Spec.ReplicatedJobs[0].Template.Spec.Template.Labels = map[string]string{gangs.MakePodGroupLabel: "true"}
	d.set.Spec.Suspend = new(true)
	d.want()
	d.set.Spec.Suspend = nil
	d.wantSaid(d.want("create"), "6 pods start together")
	d.set.Status.ReplicatedJobsStatus = []gangs.ReplicatedJobStatus{{Name: "w", Succeeded: 1}}
	d.want("patch")
	if got := d.group("uid-of-set").Spec.SchedulingPolicy.Gang.MinCount; got != 3 {
		t.Errorf("with one of two Jobs complete minCount is %d, want 3", got)
	}
	d.set.Status.ReplicatedJobsStatus[0].Succeeded = 2
	d.want() // no pods are left to start together
}

// A problem that cannot be corrected is recorded on the owner once, and nothing is written.
func TestProblemsAreSaidOnce(t *testing.T) {
	const name = "a-uid-of-a"
	ours := func() *schedulingv1beta1.PodGroup {
		return newGroup(gangs.Gang{Min: 3, Owner: gangOwner}, gangs.PodGroupWish{PriorityClass: "high"})
	}
	tests := map[string]struct {
		group    *schedulingv1beta1.PodGroup
		change   func(*reconcilerFixture)
		sentence string
	}{
		"somebody else's": {&schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name}},
			func(*reconcilerFixture) {}, "PodGroup a-uid-of-a exists and is not of RayCluster a: it is left alone"},
		"on its way out": {ours(), func(d *reconcilerFixture) {
			group := ours()
			group.DeletionTimestamp, group.Finalizers = &metav1.Time{Time: group.CreationTimestamp.Add(1)}, []string{"x"}
			if _, err := d.client.SchedulingV1beta1().PodGroups("ml").Update(d.Context(), group, metav1.UpdateOptions{}); err != nil {
				d.Fatal(err)
			}
		}, "is being deleted"},
		"another priority": {ours(), func(d *reconcilerFixture) {
			d.cluster.Annotations = nil
			d.cluster.Spec.HeadGroupSpec.Template.Spec.PriorityClassName = "low"
			d.cluster.Spec.WorkerGroupSpecs[0].Template.Spec.PriorityClassName = "low"
		}, `has priority class "high", which cannot be changed; pods of class "low" are not scheduled with it`},
		"priorities that differ": {nil, func(d *reconcilerFixture) { d.cluster.Spec.HeadGroupSpec.Template.Spec.PriorityClassName = "" },
			"differ in spec.priorityClassName"},
		"a worker group without a name": {nil, func(d *reconcilerFixture) { d.cluster.Spec.WorkerGroupSpecs[0].GroupName = "" },
			"spec.workerGroupSpecs[0].groupName of raycluster ml/a is empty"},
		"an API that is not served": {nil, func(d *reconcilerFixture) { d.served = false }, "the API server does not serve scheduling.k8s.io/v1beta1"},
	}
	for title, tc := range tests {
		t.Run(title, func(t *testing.T) {
			d := newReconcilerFixture(t)
			d.cluster = asking(2)
			if tc.group != nil {
				if _, err := d.client.SchedulingV1beta1().PodGroups("ml").Create(t.Context(), tc.group, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			tc.change(d)
			d.wantSaid(d.want(), tc.sentence)
			if said := d.want(); len(said) > 0 {
				t.Errorf("said again: %q", said)
			}
		})
	}
}

// A mistake in the owner's metadata is recorded on the owner once: the PodGroup does not show it.
func TestMistakeOfTheOwnerIsSaid(t *testing.T) {
	d := newReconcilerFixture(t)
	d.cluster = asking(2)
	d.cluster.Annotations = map[string]string{gangs.TimeLimitAnnotation: "2 hours"}
	d.wantSaid(d.want("create"), "3 pods start together")
	d.wantSaid(d.want(), `annotation dovetail.dev/time-limit of raycluster ml/a is "2 hours"`)
	if said := d.want(); len(said) > 0 {
		t.Errorf("said again: %q", said)
	}
	if limit, ok := d.group("uid-of-a").Annotations[gangs.TimeLimitAnnotation]; ok {
		t.Errorf("the PodGroup has the time limit %q", limit)
	}

	d.cluster.Annotations = nil
	if said := d.want(); len(said) > 0 {
		t.Errorf("without the mistake it said %q", said)
	}
	d.cluster.Annotations = map[string]string{"dovetail.dev/rack": "a"}
	d.wantSaid(d.want(), "dovetail.dev/rack")

	// A JobSet, by Kueue's label.
	d = newReconcilerFixture(t)
	job := gangs.ReplicatedJob{Name: "w", Replicas: new(int32(1))}
	job.Template.Spec.Template.Labels = map[string]string{gangs.MakePodGroupLabel: "true"}
	d.set = &gangs.JobSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "a", UID: "uid-of-set", Labels: map[string]string{gangs.MaxExecTimeLabel: "1h"}},
		Spec:       gangs.JobSetSpec{ReplicatedJobs: []gangs.ReplicatedJob{job}},
	}
	d.want("create")
	d.wantSaid(d.want(), `label kueue.x-k8s.io/max-exec-time-seconds of jobset ml/a is "1h"`)
}

// A key that comes before, during or between runs is queued, unless its object was deleted
// between runs. The key of a group queues its owner.
func TestPodGroupsRunsAgain(t *testing.T) {
	d := newReconcilerFixture(t)
	d.cluster = asking(2)
	cluster, other := gangs.RayClusterKey("ml", "a"), gangs.CoschedulingKey("ml", "a")
	d.groups.Changed(gangs.RayClusterKey("ml", "deleted"))
	d.groups.Changed(cluster)
	d.groups.Changed(other)
	for range 2 {
		if queue := d.groups.open(); queue.Len() != 1 {
			t.Errorf("the queue holds %d keys, want 1", queue.Len())
		}
	}
	d.groups.own(types.NamespacedName{Namespace: "ml", Name: "a-uid-of-a"}, cluster)
	key, _ := d.groups.queue.Get()
	d.groups.queue.Done(key)
	d.groups.Changed(gangs.PodGroupKey("ml", "unknown"))
	d.groups.Changed(gangs.PodGroupKey("ml", "a-uid-of-a"))
	if key, _ := d.groups.queue.Get(); key != cluster {
		t.Errorf("the group's change has %s looked at, want %s", key, cluster)
	}
	d.groups.forget(cluster)
	if queue := d.groups.open(); queue.Len() != 0 || len(d.groups.owners) != 0 {
		t.Errorf("what was forgotten is known: %d keys, owners %v", queue.Len(), d.groups.owners)
	}
}
