// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

func TestTrimOfEachKind(t *testing.T) {
	p := func(n int32) *int32 { return &n }
	meta := metav1.ObjectMeta{Namespace: "ml", Name: "a"}
	marked := meta
	marked.Annotations = map[string]string{gangs.GangAnnotation: "true"}
	jobs := gangs.ReplicatedJob{Name: "w", Replicas: p(2), DependsOn: []gangs.JobSetDependency{{Name: "v"}}}
	jobs.Template.Annotations = map[string]string{"alpha.jobset.sigs.k8s.io/exclusive-topology": "rack"}
	jobs.Template.Spec = batchv1.JobSpec{Parallelism: p(3), Completions: p(4)}
	jobs.Template.Spec.Template.Labels = map[string]string{"step": "x"}
	jobs.Template.Spec.Template.Spec = corev1.PodSpec{SchedulerName: "dovetail", PriorityClassName: "high"}
	tests := map[string]struct {
		kind Kind
		text string
		want any
	}{
		"a JobSet": {
			kind: JobSet,
			text: `{metadata: {namespace: ml, name: a, annotations: {alpha.jobset.sigs.k8s.io/exclusive-topology: rack}},
				spec: {suspend: true, startupPolicy: {startupPolicyOrder: InOrder}, network: {subdomain: x}, replicatedJobs: [
					{name: w, groupName: default, replicas: 2, dependsOn: [{name: v, status: Ready}], template: {
						metadata: {annotations: {alpha.jobset.sigs.k8s.io/exclusive-topology: rack}, labels: {a: b}},
						spec: {parallelism: 3, completions: 4, backoffLimit: 1, template: {metadata: {labels: {step: x}, annotations: {c: d}}, spec: {schedulerName: dovetail, priorityClassName: high, containers: []}}}}}]},
				status: {restarts: 1, conditions: [{type: Suspended, status: "True"}, {type: Completed, status: "False"}],
					replicatedJobsStatus: [{name: w, ready: 1, succeeded: 1, active: 0}, {name: v, ready: 0, succeeded: 0, failed: 1}]}}`,
			want: &gangs.JobSet{ObjectMeta: meta, Exclusive: true, Status: gangs.JobSetStatus{
				Restarts: 1, ReplicatedJobsStatus: []gangs.ReplicatedJobStatus{{Name: "v", Failed: 1}, {Name: "w", Succeeded: 1}},
			}, Spec: gangs.JobSetSpec{
				Suspend: new(true), StartupPolicy: &gangs.JobSetStartupPolicy{StartupPolicyOrder: "InOrder"}, ReplicatedJobs: []gangs.ReplicatedJob{jobs},
			}},
		},
		"a Volcano PodGroup": {
			kind: VolcanoPodGroup,
			text: `{metadata: {namespace: ml, name: a}, spec: {minMember: 3, minTaskMember: {ps: 1}, queue: q}, status: {phase: Inqueue}}`,
			want: &gangs.VolcanoPodGroup{ObjectMeta: meta, Spec: gangs.VolcanoPodGroupSpec{MinMember: 3, MinTaskMember: map[string]int32{"ps": 1}}},
		},
		"a LeaderWorkerSet": {
			kind: LeaderWorkerSet,
			text: `{metadata: {namespace: ml, name: a}, spec: {startupPolicy: LeaderReady, replicas: 2, leaderWorkerTemplate: {size: 4}}}`,
			want: &gangs.LeaderWorkerSet{ObjectMeta: meta, Spec: gangs.LeaderWorkerSetSpec{StartupPolicy: "LeaderReady"}},
		},
		"a Job that is marked by label": {
			kind: Job,
			text: `{metadata: {namespace: ml, name: a, labels: {dovetail.dev/gang: "true", x: z}, ownerReferences: [{apiVersion: v1, kind: X, name: x, uid: u}]},
				spec: {parallelism: 2, completions: 3, suspend: false, template: {spec: {containers: []}}}, status: {succeeded: 1, active: 2}}`,
			want: &batchv1.Job{ObjectMeta: marked, Spec: batchv1.JobSpec{Parallelism: p(2), Completions: p(3), Suspend: new(bool)}, Status: batchv1.JobStatus{Succeeded: 1}},
		},
		"an indexed Job that has ended": {
			kind: Job,
			text: `{metadata: {namespace: ml, name: a}, spec: {completionMode: Indexed, completions: 4},
				status: {succeeded: 1, failed: 2, ready: 0, terminating: 1, completedIndexes: "0", failedIndexes: "1,3", uncountedTerminatedPods: {failed: [u]},
					conditions: [{type: FailureTarget, status: "True", reason: x, lastProbeTime: "2026-01-01T00:00:00Z"}, {type: Suspended, status: "True"}]}}`,
			want: &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{CompletionMode: new(batchv1.IndexedCompletion), Completions: p(4)}, Status: batchv1.JobStatus{
				Succeeded: 1, CompletedIndexes: "0", FailedIndexes: new("1,3"),
				Conditions: []batchv1.JobCondition{{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue}},
			}},
		},
		"a Job with pods that it has not counted yet": {
			kind: Job,
			text: `{metadata: {namespace: ml, name: a}, spec: {parallelism: 2}, status: {active: 1, uncountedTerminatedPods: {succeeded: [u], failed: [v]}}}`,
			want: &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Parallelism: p(2)}, Status: batchv1.JobStatus{
				UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"u"}},
			}},
		},
		"a PodGroup of Kubernetes": {
			kind: PodGroup,
			text: `{metadata: {namespace: ml, name: a, annotations: {other: x}}, spec: {schedulingPolicy: {gang: {minCount: 4}}, priorityClassName: high}, status: {conditions: []}}`,
			want: &schedulingv1beta1.PodGroup{ObjectMeta: meta, Spec: schedulingv1beta1.PodGroupSpec{
				SchedulingPolicy:  schedulingv1beta1.PodGroupSchedulingPolicy{Gang: &schedulingv1beta1.GangSchedulingPolicy{MinCount: 4}},
				PriorityClassName: "high",
			}},
		},
		"a JobSet whose replicas are a word": {
			kind: JobSet,
			text: `{metadata: {namespace: ml, name: a}, spec: {replicatedJobs: [{name: w, replicas: two}]}}`,
			want: "field spec.replicatedJobs.replicas holds a string where int32 is wanted",
		},
		"a JobSet whose template is none": {
			kind: JobSet,
			text: `{metadata: {namespace: ml, name: a}, spec: {replicatedJobs: [{name: w, template: 3}]}}`,
			want: "field spec.replicatedJobs.template holds a number where v1.JobTemplateSpec is wanted",
		},
		"a Volcano PodGroup whose tasks are a list": {
			kind: VolcanoPodGroup,
			text: `{metadata: {namespace: ml, name: a}, spec: {minMember: 3, minTaskMember: [1]}}`,
			want: "field spec.minTaskMember holds a array where map[string]int32 is wanted",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			made, err := tc.kind.newItem(object(t, tc.text))
			if err != nil {
				t.Fatal(err)
			}
			got := made.(*item).object
			if wrong := made.(*item).malformed; wrong != nil {
				got = wrong.Detail
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("object (-want,+got):\n%s", diff)
			}
		})
	}
}

// Every kind must have its own definition and its own source name in its keys.
func TestKindsAreNamedApart(t *testing.T) {
	definitions, sources := map[string]bool{}, map[string]bool{}
	for _, kind := range Kinds() {
		source := kind.Key("ml", "a").Source
		if definitions[kind.definition()] || sources[source] {
			t.Errorf("%s or its source %s is there twice", kind.definition(), source)
		}
		definitions[kind.definition()], sources[source] = true, true
	}
}
