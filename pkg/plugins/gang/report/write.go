// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// onOwner writes an event on the object that declares a gang, if there is one.
func (r *Reporter) onOwner(owner v1.ObjectReference, kind, reason, note string) {
	if owner.Name == "" {
		return // no object declares the gang; its pods get the sentence
	}
	r.handle.EventRecorder().Eventf(&owner, nil, kind, reason, "Scheduling", "%s", gangs.Note(note))
}

// onOwnerAnew writes the sentence as a new event on the owner. The scheduler's recorder
// would merge it into the earlier event and keep the old sentence.
func (r *Reporter) onOwnerAnew(ctx context.Context, owner v1.ObjectReference, sentence string) error {
	if owner.Name == "" {
		return nil // no object declares the gang; its pods get the sentence
	}
	now := metav1.NowMicro()
	_, err := r.handle.ClientSet().EventsV1().Events(owner.Namespace).Create(ctx, &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: owner.Namespace, Name: fmt.Sprintf("%s.%x", owner.Name, now.UnixNano())},
		EventTime:           now,
		ReportingController: r.handle.ProfileName(),
		ReportingInstance:   r.handle.ProfileName(),
		Action:              "Scheduling",
		Reason:              reasonWaiting,
		Regarding:           owner,
		Note:                gangs.Note(sentence),
		Type:                v1.EventTypeWarning,
	}, metav1.CreateOptions{})
	if err == nil || apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) {
		return nil
	}
	return fmt.Errorf("writing an event on %s %s/%s: %w", owner.Kind, owner.Namespace, owner.Name, err)
}

// onPod writes the reason and the sentence of a gang as the pod's PodScheduled condition,
// which cluster autoscalers and users read, with the mistakes in the metadata of the pod and
// of the declaration. It also writes an event, unless only numbers changed since the last
// message.
func (r *Reporter) onPod(ctx context.Context, pod *v1.Pod, of *Status) error {
	status := pod.Status.DeepCopy()
	before, sentence, mistake := waitCondition(status), of.Sentence, gangs.MetadataMistake(pod)
	if before.Reason == reasonOf(of) && strings.Contains(before.Message, sentence) && strings.Contains(before.Message, mistake) {
		return nil
	}
	sentence = withMistake(withMistake(sentence, mistake), of.Gang.MetadataMistake())
	changed := podutil.UpdatePodCondition(status, &v1.PodCondition{
		Type:               v1.PodScheduled,
		ObservedGeneration: podutil.CalculatePodConditionObservedGeneration(status, pod.Generation, v1.PodScheduled),
		Status:             v1.ConditionFalse,
		Reason:             reasonOf(of),
		Message:            sentence,
	})
	if !changed {
		return nil
	}
	err := util.PatchPodStatus(ctx, r.handle.ClientSet(), pod.Name, pod.Namespace, &pod.Status, status)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing the condition of pod %s: %w", klog.KObj(pod), err)
	}
	if sameWords(before.Message, sentence) {
		return nil
	}
	r.handle.EventRecorder().Eventf(pod, nil, v1.EventTypeWarning, reasonScheduling, "Scheduling", "%s", gangs.Note(sentence))
	return nil
}

// reasonOf returns the reason of the conditions of a gang's waiting members.
func reasonOf(status *Status) string {
	if status.Incomplete || status.HeldBack {
		return ReasonWaitingForGang
	}
	return v1.PodReasonUnschedulable
}

// hasReason reports whether the pod's PodScheduled condition has a reason for waiting,
// current or outdated.
func hasReason(pod *v1.Pod) bool {
	return waitCondition(&pod.Status).Message != ""
}

// waitCondition returns the pod's PodScheduled condition, an empty one if the condition is
// not False. Its message may be the scheduler's own text around the reporter's sentence.
func waitCondition(status *v1.PodStatus) v1.PodCondition {
	_, condition := podutil.GetPodCondition(status, v1.PodScheduled)
	if condition == nil || condition.Status != v1.ConditionFalse {
		return v1.PodCondition{}
	}
	return *condition
}

// onPodGroup writes the sentence as the PodGroup's condition. The scheduler writes that
// condition only after it has tried the group. A nil group is ignored.
func (r *Reporter) onPodGroup(ctx context.Context, group *schedulingv1beta1.PodGroup, sentence string) error {
	if group == nil || meta.IsStatusConditionTrue(group.Status.Conditions, schedulingv1beta1.PodGroupInitiallyScheduled) {
		return nil // the condition only records that the group was placed once
	}
	status := group.Status.DeepCopy()
	changed := meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: schedulingv1beta1.PodGroupInitiallyScheduled, Status: metav1.ConditionFalse, ObservedGeneration: group.Generation,
		Reason: schedulingv1beta1.PodGroupReasonUnschedulable, Message: sentence,
	})
	if !changed {
		return nil
	}
	// The patch has the resource version that was read, so that it fails if the scheduler
	// has placed the group since.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": group.ResourceVersion}, "status": map[string]any{"conditions": status.Conditions},
	})
	if err != nil {
		return fmt.Errorf("encoding the condition of PodGroup %s/%s: %w", group.Namespace, group.Name, err)
	}
	_, err = r.handle.ClientSet().SchedulingV1beta1().PodGroups(group.Namespace).Patch(ctx, group.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	switch {
	case apierrors.IsConflict(err):
		r.Later(gangs.PodGroupKey(group.Namespace, group.Name))
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("writing the condition of PodGroup %s/%s: %w", group.Namespace, group.Name, err)
	}
	return nil
}
