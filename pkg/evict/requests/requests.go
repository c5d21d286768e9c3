// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// reasonPreempted is the reason of the event on an evicted pod.
const reasonPreempted = "Preempted"

// maxRequests is the number of requests about evictions that an Evictions makes at a time.
const maxRequests = 16

// Evictions asks the API server to evict pods.
type Evictions struct {
	Client   kubernetes.Interface
	Recorder events.EventRecorder
	// PreferBudgets is true if a pod is deleted although a PodDisruptionBudget protects it.
	PreferBudgets bool
}

// Try asks the API server whether it would evict all pods now. It evicts none. It returns why
// one of them is not evicted, "" if all would be.
func (e *Evictions) Try(ctx context.Context, pods []*v1.Pod) (refusal string, err error) {
	return e.each(pods, func(pod *v1.Pod) (string, error) { return e.request(ctx, pod, []string{metav1.DryRunAll}) })
}

// Explain writes to each pod's status why the pod is about to end. From then on the pod does not
// count as a member of its gang (gangs.Live), so that no new member joins a gang that ends.
func (e *Evictions) Explain(ctx context.Context, pods []*v1.Pod, message string) error {
	_, err := e.each(pods, func(pod *v1.Pod) (string, error) {
		if pod.DeletionTimestamp != nil {
			return "", nil
		}
		return "", e.explain(ctx, pod, message)
	})
	return err
}

// Evict evicts pods, after Explain for all of them. It returns why one of them is not evicted
// yet, "" if all are. A pod that is gone or being deleted counts as evicted.
func (e *Evictions) Evict(ctx context.Context, pods []*v1.Pod, message string) (refusal string, err error) {
	if err := e.Explain(ctx, pods, message); err != nil {
		return "", err
	}
	return e.each(pods, func(pod *v1.Pod) (string, error) {
		if pod.DeletionTimestamp != nil {
			return "", nil
		}
		refusal, err := e.request(ctx, pod, nil)
		if refusal == "" && err == nil {
			e.Recorder.Eventf(pod, nil, v1.EventTypeNormal, reasonPreempted, "Preempting", "%s", gangs.Note(message))
		}
		return refusal, err
	})
}

// each calls do for all pods, several at a time. It returns the refusal and the error of the
// first pod that has one.
func (e *Evictions) each(pods []*v1.Pod, do func(*v1.Pod) (string, error)) (string, error) {
	refusals, errs := make([]string, len(pods)), make([]error, len(pods))
	var wait sync.WaitGroup
	slots := make(chan struct{}, maxRequests)
	for i, pod := range pods {
		wait.Add(1)
		slots <- struct{}{}
		go func() {
			defer wait.Done()
			refusals[i], errs[i] = do(pod)
			<-slots
		}()
	}
	wait.Wait()
	for i := range pods {
		if errs[i] != nil || refusals[i] != "" {
			return refusals[i], errs[i]
		}
	}
	return "", nil
}

// explain sets the condition DisruptionTarget of a pod.
func (e *Evictions) explain(ctx context.Context, pod *v1.Pod, message string) error {
	status := pod.Status.DeepCopy()
	changed := podutil.UpdatePodCondition(status, &v1.PodCondition{
		Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: v1.PodReasonPreemptionByScheduler, Message: message,
	})
	if !changed {
		return nil
	}
	err := util.PatchPodStatus(ctx, e.Client, pod.Name, pod.Namespace, &pod.Status, status)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing why pod %s/%s ends: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// request requests the eviction of a pod.
func (e *Evictions) request(ctx context.Context, pod *v1.Pod, dryRun []string) (string, error) {
	only := metav1.Preconditions{UID: &pod.UID}
	err := e.Client.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &only, DryRun: dryRun},
	})
	if apierrors.IsTooManyRequests(err) && e.PreferBudgets {
		err = e.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: &only, DryRun: dryRun})
	}
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return "", nil
	case apierrors.IsTooManyRequests(err):
		return "a PodDisruptionBudget does not allow it yet for pod " + pod.Namespace + "/" + pod.Name, nil
	case apierrors.IsForbidden(err):
		return Forbidden(pod, err), nil
	}
	return "", fmt.Errorf("evicting pod %s/%s: %w", pod.Namespace, pod.Name, err)
}

// Forbidden explains why the API server forbids the eviction of a pod. RBAC's answer names the
// scheduler's user, which says nothing to the owner of the pod.
func Forbidden(pod *v1.Pod, err error) string {
	if strings.Contains(err.Error(), `cannot create resource "pods/eviction"`) {
		return "the scheduler has no right to evict pod " + pod.Name + ": an administrator must install manifests/evictions"
	}
	return "the API server forbids it for pod " + pod.Name + ": " + err.Error()
}

// Message is the sentence on an evicted pod: for whom it is evicted, and how much work is lost.
// preemptor is "gang NAME" or "pod NAME".
func Message(preemptor string, priority int32, devices int, lost time.Duration) string {
	text := fmt.Sprintf("evicted for %s of priority %d", preemptor, priority)
	switch {
	case devices == 1:
		text += ", which needs its device"
	case devices > 1:
		text += fmt.Sprintf(", which needs its %d devices", devices)
	default:
		text += ", which needs its room"
	}
	if minutes := int(lost.Round(time.Minute) / time.Minute); minutes > 0 {
		text += fmt.Sprintf("; loses about %d min of work", minutes)
	}
	return text
}
