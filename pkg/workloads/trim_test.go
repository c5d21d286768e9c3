// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatalf("reading the test's object: %v", err)
	}
	return u
}

const fullRayCluster = `
apiVersion: ray.io/v1
kind: RayCluster
metadata:
  namespace: ml
  name: a
  uid: u
  resourceVersion: "7"
  creationTimestamp: "2026-09-01T12:00:00Z"
  annotations:
    dovetail.dev/topology-required: leaf
    kubectl.kubernetes.io/last-applied-configuration: long
  labels: {team: x}
  managedFields: [{manager: kubectl}]
spec:
  enableInTreeAutoscaling: true
  suspend: false
  rayVersion: 2.46.0
  headGroupSpec:
    rayStartParams: {}
    template:
      metadata: {labels: {dovetail.dev/native-gang: "true", team: x}}
      spec: {schedulerName: dovetail, priorityClassName: high, containers: [{name: head, image: ray}]}
  workerGroupSpecs:
  - groupName: gpu
    replicas: 4
    minReplicas: 2
    maxReplicas: 8
    numOfHosts: 2
    suspend: true
    rayStartParams: {}
    labels: {dovetail.dev/native-gang: "true", zone: a}
    template: {spec: {containers: [{name: worker, image: ray}]}}
status:
  desiredWorkerReplicas: 4
`

func TestTrimKeepsWhatSourcesRead(t *testing.T) {
	got, err := RayCluster.newItem(object(t, fullRayCluster))
	if err != nil {
		t.Fatalf("newItem: %v", err)
	}
	p := func(n int32) *int32 { return &n }
	mark := map[string]string{gangs.MakePodGroupLabel: "true"}
	want := &item{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "a", UID: "u", ResourceVersion: "7"},
		object: &rayv1.RayCluster{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ml", Name: "a", UID: "u",
				CreationTimestamp: metav1.NewTime(time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC).Local()),
				Annotations:       map[string]string{gangs.RequiredAnnotation: "leaf"},
			},
			Spec: rayv1.RayClusterSpec{
				EnableInTreeAutoscaling: new(true),
				Suspend:                 new(bool),
				HeadGroupSpec: rayv1.HeadGroupSpec{Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: mark}, Spec: corev1.PodSpec{SchedulerName: "dovetail", PriorityClassName: "high"},
				}},
				WorkerGroupSpecs: []rayv1.WorkerGroupSpec{
					{GroupName: "gpu", Replicas: p(4), MinReplicas: p(2), MaxReplicas: p(8), NumOfHosts: 2, Suspend: new(true), Labels: mark},
				},
			},
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(item{})); diff != "" {
		t.Errorf("item (-want,+got):\n%s", diff)
	}
	again, err := RayCluster.newItem(got)
	if err != nil || again != got {
		t.Errorf("an item that comes by again is changed: %v, %v", again, err)
	}
}

func TestMalformedObjects(t *testing.T) {
	tests := map[string]struct {
		kind   Kind
		spec   string
		detail string // empty: the object is valid
	}{
		"a RayCluster without spec": {
			kind: RayCluster,
			spec: `{}`,
		},
		"a RayCluster whose pod template is nonsense, which is not read": {
			kind: RayCluster,
			spec: `{spec: {headGroupSpec: 3, workerGroupSpecs: [{groupName: gpu, template: no}]}}`,
		},
		"a RayCluster whose spec is a list": {
			kind:   RayCluster,
			spec:   `{spec: [1]}`,
			detail: "field spec holds a []interface {} where an object is wanted",
		},
		"a RayCluster whose replicas are a word": {
			kind:   RayCluster,
			spec:   `{spec: {workerGroupSpecs: [{groupName: gpu, replicas: two}]}}`,
			detail: "field spec.workerGroupSpecs.replicas holds a string where int32 is wanted",
		},
		"a RayCluster whose replicas are too many": {
			kind:   RayCluster,
			spec:   `{spec: {workerGroupSpecs: [{groupName: gpu, replicas: 3000000000}]}}`,
			detail: "field spec.workerGroupSpecs.replicas holds a number 3000000000 where int32 is wanted",
		},
		"a RayCluster whose groups are not a list": {
			kind:   RayCluster,
			spec:   `{spec: {workerGroupSpecs: {gpu: {}}}}`,
			detail: "field spec.workerGroupSpecs holds a object where []v1.WorkerGroupSpec is wanted",
		},
		"a PodGroup whose minMember is half": {
			kind:   CoschedulingGroup,
			spec:   `{spec: {minMember: 1.5}}`,
			detail: "field spec.minMember holds a number 1.5 where int32 is wanted",
		},
		"a PodGroup whose minResources are nonsense, which are not read": {
			kind: CoschedulingGroup,
			spec: `{spec: {minMember: 1, minResources: {cpu: lots}}}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			u := object(t, tc.spec)
			u.SetNamespace("ml")
			u.SetName("a")
			got, err := tc.kind.newItem(u)
			if err != nil {
				t.Fatalf("newItem: %v", err)
			}
			detail := ""
			if m := got.(*item).malformed; m != nil {
				detail = m.Detail
				want := corev1.ObjectReference{
					APIVersion: tc.kind.Resource.GroupVersion().String(), Kind: tc.kind.Name, Namespace: "ml", Name: "a",
				}
				if diff := cmp.Diff(want, m.Owner); diff != "" {
					t.Errorf("owner (-want,+got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(tc.detail, detail); diff != "" {
				t.Errorf("detail (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestWhichChangesMatter(t *testing.T) {
	tests := map[string]struct {
		change func(u *unstructured.Unstructured) error
		same   bool
	}{
		"a write to status": {
			change: func(u *unstructured.Unstructured) error {
				u.SetResourceVersion("8")
				return unstructured.SetNestedField(u.Object, "Running", "status", "phase")
			},
			same: true,
		},
		"an annotation of somebody else": {
			change: func(u *unstructured.Unstructured) error { u.SetAnnotations(map[string]string{"x": "y"}); return nil },
			same:   true,
		},
		"minMember": {
			change: func(u *unstructured.Unstructured) error {
				return unstructured.SetNestedField(u.Object, int64(5), "spec", "minMember")
			},
		},
		"minMember that becomes malformed": {
			change: func(u *unstructured.Unstructured) error {
				return unstructured.SetNestedField(u.Object, "five", "spec", "minMember")
			},
		},
		"a topology wish": {
			change: func(u *unstructured.Unstructured) error {
				u.SetAnnotations(map[string]string{gangs.PreferredAnnotation: "leaf"})
				return nil
			},
		},
		"another object of the same name": {
			change: func(u *unstructured.Unstructured) error { u.SetUID("other"); return nil },
		},
		"its deletion that waits for a finalizer": {
			change: func(u *unstructured.Unstructured) error {
				now := metav1.Now()
				u.SetDeletionTimestamp(&now)
				return nil
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			before := object(t, `{metadata: {namespace: ml, name: a, uid: u, resourceVersion: "7"}, spec: {minMember: 4}}`)
			after := before.DeepCopy()
			if err := tc.change(after); err != nil {
				t.Fatalf("changing the object: %v", err)
			}
			if same := declaresSame(newPodGroupItem(t, before), newPodGroupItem(t, after)); same != tc.same {
				t.Errorf("declares the same: want %v, got %v", tc.same, same)
			}
		})
	}
}

func newPodGroupItem(t *testing.T, u *unstructured.Unstructured) *item {
	t.Helper()
	it, err := CoschedulingGroup.newItem(u)
	if err != nil {
		t.Fatalf("newItem: %v", err)
	}
	return it.(*item)
}

func TestTruthOfPodGroup(t *testing.T) {
	owned := object(t, `{metadata: {namespace: ml, name: g, ownerReferences: [{apiVersion: ray.io/v1, kind: RayCluster, name: a, uid: u}]}}`)
	group := newPodGroupItem(t, owned).object.(*schedv1alpha1.PodGroup)
	key, ok := CoschedulingGroup.Owner(group)
	if want := gangs.RayClusterKey("ml", "a"); key != want || !ok {
		t.Errorf("want %v, got %v %v", want, key, ok)
	}
}

// A Job changes the gang of its JobSet while it has pods that are not made again.
func TestReaderOfJob(t *testing.T) {
	const of = `metadata: {namespace: ml, name: a-w-0, ownerReferences: [{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, name: a, uid: u, controller: true}]}`
	tests := map[string]struct {
		text string
		want bool
	}{
		"nothing has ended":         {`{` + of + `, status: {active: 2}}`, false},
		"no index has failed":       {`{` + of + `, status: {failedIndexes: ""}}`, false},
		"an index has failed":       {`{` + of + `, status: {failedIndexes: "1"}}`, true},
		"a pod has succeeded":       {`{` + of + `, status: {succeeded: 1, completedIndexes: "0"}}`, true},
		"all is over":               {`{` + of + `, status: {succeeded: 2, conditions: [{type: Complete, status: "True"}]}}`, false},
		"a Job that no JobSet made": {`{metadata: {namespace: ml, name: b}, status: {succeeded: 1}}`, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			made, err := Job.newItem(object(t, tc.text))
			if err != nil {
				t.Fatal(err)
			}
			key, ok := Job.Reader(made.(*item).object)
			if ok != tc.want || ok && key != gangs.JobSetKey("ml", "a") {
				t.Errorf("want %v, got %v %v", tc.want, key, ok)
			}
		})
	}
}

// What the sources read about the run time is kept, and nothing else of the labels.
func TestTrimKeepsRunTimes(t *testing.T) {
	const limited = `metadata: {namespace: ml, name: a, labels: {team: x, kueue.x-k8s.io/max-exec-time-seconds: "60"}}`
	labels := map[string]string{gangs.MaxExecTimeLabel: "60"}
	group := newPodGroupItem(t, object(t, `{`+limited+`}`)).object.(*schedv1alpha1.PodGroup)
	if diff := cmp.Diff(labels, group.Labels); diff != "" {
		t.Errorf("labels of a PodGroup (-want,+got):\n%s", diff)
	}
	made, err := Job.newItem(object(t, `{`+limited+`, spec: {activeDeadlineSeconds: 90}}`))
	if err != nil {
		t.Fatalf("newItem: %v", err)
	}
	job := made.(*item).object.(*batchv1.Job)
	if diff := cmp.Diff(labels, job.Labels); diff != "" || job.Spec.ActiveDeadlineSeconds == nil || *job.Spec.ActiveDeadlineSeconds != 90 {
		t.Errorf("a Job: deadline %v, labels (-want,+got):\n%s", job.Spec.ActiveDeadlineSeconds, diff)
	}
	made, err = JobSet.newItem(object(t, `{`+limited+`, spec: {replicatedJobs: [{name: w, template: {spec: {activeDeadlineSeconds: 90}}}]}}`))
	if err != nil {
		t.Fatalf("newItem: %v", err)
	}
	set := made.(*item).object.(*gangs.JobSet)
	if of := set.Spec.ReplicatedJobs[0].Template.Spec.ActiveDeadlineSeconds; of == nil || *of != 90 {
		t.Errorf("the deadline of a JobSet's Jobs is %v", of)
	}
}

// A RayJob limits the run time of the gang of its RayCluster.
func TestRayJob(t *testing.T) {
	made, err := RayJob.newItem(object(t, `{metadata: {namespace: ml, name: train, uid: u}, spec: {entrypoint: x,
		activeDeadlineSeconds: 60, shutdownAfterJobFinishes: true, ttlSecondsAfterFinished: 30}, status: {jobStatus: RUNNING}}`))
	if err != nil {
		t.Fatalf("newItem: %v", err)
	}
	want := &rayv1.RayJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "train", UID: "u"},
		Spec:       rayv1.RayJobSpec{ActiveDeadlineSeconds: new(int32(60)), ShutdownAfterJobFinishes: true, TTLSecondsAfterFinished: 30},
	}
	if diff := cmp.Diff(want, made.(*item).object); diff != "" {
		t.Errorf("RayJob (-want,+got):\n%s", diff)
	}
	made, err = RayCluster.newItem(object(t, `{metadata: {namespace: ml, name: a, uid: u,
		ownerReferences: [{apiVersion: ray.io/v1, kind: RayJob, name: train, uid: v, controller: true}]}}`))
	if err != nil {
		t.Fatalf("newItem: %v", err)
	}
	if key, ok := RayCluster.Owner(made.(*item).object); !ok || key != gangs.RayJobKey("ml", "train") {
		t.Errorf("the gang of the RayCluster is also read from %v, %v", key, ok)
	}
}
