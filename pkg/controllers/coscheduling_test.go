// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
)

// inPhases returns one pod for each phase.
func inPhases(phases ...v1.PodPhase) []*v1.Pod {
	pods := make([]*v1.Pod, len(phases))
	for i, phase := range phases {
		name := fmt.Sprintf("p%d", i)
		pods[i] = &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name),
				OwnerReferences: []metav1.OwnerReference{{Kind: "Job", Name: "train"}}},
			Status: v1.PodStatus{Phase: phase},
		}
	}
	return pods
}

func TestPhaseOfAPodGroup(t *testing.T) {
	const least = 3
	p, r, s, f := v1.PodPending, v1.PodRunning, v1.PodSucceeded, v1.PodFailed
	tests := map[string]struct {
		before schedv1alpha1.PodGroupPhase
		pods   []*v1.Pod
		want   groupStatus
	}{
		"no pods":               {"", inPhases(), groupStatus{phase: schedv1alpha1.PodGroupPending}},
		"too few pods":          {"", inPhases(p, p), groupStatus{phase: schedv1alpha1.PodGroupPending}},
		"enough, none runs":     {"", inPhases(p, p, p), groupStatus{phase: schedv1alpha1.PodGroupScheduling, occupiedBy: "ml/train"}},
		"some run":              {"", inPhases(r, r, p), groupStatus{phase: schedv1alpha1.PodGroupScheduling, occupiedBy: "ml/train", running: 2}},
		"all run":               {"", inPhases(r, r, r), groupStatus{phase: schedv1alpha1.PodGroupRunning, occupiedBy: "ml/train", running: 3}},
		"one is done":           {"", inPhases(s, r, r), groupStatus{phase: schedv1alpha1.PodGroupRunning, occupiedBy: "ml/train", running: 2, succeeded: 1}},
		"all are done":          {"", inPhases(s, s, s), groupStatus{phase: schedv1alpha1.PodGroupFinished, occupiedBy: "ml/train", succeeded: 3}},
		"one failed":            {schedv1alpha1.PodGroupRunning, inPhases(f, r, r), groupStatus{phase: schedv1alpha1.PodGroupFailed, occupiedBy: "ml/train", running: 2, failed: 1}},
		"one failed, too early": {"", inPhases(f, p, p), groupStatus{phase: schedv1alpha1.PodGroupScheduling, occupiedBy: "ml/train", failed: 1}},
		"the one was replaced":  {schedv1alpha1.PodGroupFailed, inPhases(r, r, r), groupStatus{phase: schedv1alpha1.PodGroupRunning, occupiedBy: "ml/train", running: 3}},
		"pods of one that ran":  {schedv1alpha1.PodGroupRunning, inPhases(r), groupStatus{phase: schedv1alpha1.PodGroupPending, running: 1}},
		"it had finished":       {schedv1alpha1.PodGroupFinished, inPhases(), groupStatus{phase: schedv1alpha1.PodGroupFinished}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			group := &schedv1alpha1.PodGroup{Spec: schedv1alpha1.PodGroupSpec{MinMember: least}, Status: schedv1alpha1.PodGroupStatus{Phase: tc.before}}
			if diff := cmp.Diff(tc.want, nextStatus(group, tc.pods), cmp.AllowUnexported(groupStatus{})); diff != "" {
				t.Errorf("status (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestWhoseStatusItIs(t *testing.T) {
	ours, theirs := inPhases(v1.PodPending), inPhases(v1.PodPending)
	ours[0].Spec.SchedulerName, theirs[0].Spec.SchedulerName = "dovetail", "default-scheduler"
	writes := func(manager, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const status, spec = `{"f:status":{"f:phase":{}}}`, `{"f:spec":{"f:minMember":{}}}`
	tests := map[string]struct {
		pods    []*v1.Pod
		writers []metav1.ManagedFieldsEntry
		want    bool
	}{
		"our pods, nobody wrote it":          {ours, []metav1.ManagedFieldsEntry{writes("kubectl", "", spec)}, true},
		"pods of another scheduler":          {theirs, nil, false},
		"no pods":                            {nil, nil, false},
		"no pods any more":                   {nil, []metav1.ManagedFieldsEntry{writes("dovetail", "status", status)}, true},
		"our pods, another controller wrote": {ours, []metav1.ManagedFieldsEntry{writes("controller", "status", status)}, false},
		"both wrote": {ours, []metav1.ManagedFieldsEntry{writes("dovetail", "status", status),
			writes("controller", "status", status)}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			group := &unstructured.Unstructured{Object: map[string]any{}}
			group.SetManagedFields(tc.writers)
			r := &CoschedulingGroups{profiles: sets.New("dovetail")}
			if got := r.mine(group, tc.pods); got != tc.want {
				t.Errorf("ours: %v, want %v", got, tc.want)
			}
		})
	}
}
