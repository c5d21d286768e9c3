// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	apipod "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/evict"
)

// preemptor is for whom pods are evicted.
type preemptor struct {
	uid    types.UID
	object runtime.Object
	// what names it, for messages: "pod ml/a" or "PodGroup ml/a".
	what     string
	priority int32
	// pods are its pods. They are activated if the evictions fail.
	pods []*v1.Pod
}

// evictions evicts victims while the scheduler goes on. It keeps preemptors out of the queue
// meanwhile, so that they do not choose other victims.
type evictions struct {
	handle fwk.Handle
	pods   corelisters.PodLister
	logger klog.Logger

	mu sync.Mutex
	// preempting has the preemptors. Each has the last of its victims once only this one is
	// not evicted yet: its deletion may return the preemptor to the queue.
	preempting map[types.UID]*v1.Pod
}

func newEvictions(handle fwk.Handle, pods corelisters.PodLister, logger klog.Logger) *evictions {
	return &evictions{handle: handle, pods: pods, logger: logger, preempting: map[types.UID]*v1.Pod{}}
}

// victim is a pod to evict, with the message for its users.
type victim struct {
	pod     *v1.Pod
	message string
}

// running reports whether victims of the preemptor are still to be evicted.
func (e *evictions) running(uid types.UID) bool {
	e.mu.Lock()
	last, known := e.preempting[uid]
	e.mu.Unlock()
	if !known || last == nil {
		return known
	}
	now, err := e.pods.Pods(last.Namespace).Get(last.Name)
	return err == nil && now.UID == last.UID && now.DeletionTimestamp == nil
}

// count returns the number of preemptors whose victims are being evicted.
func (e *evictions) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.preempting)
}

// start evicts the pods of the units in the background. node is the preemptor's node, "" for
// several.
func (e *evictions) start(p preemptor, units []*evict.Unit, node string) {
	var victims []victim
	for _, unit := range units {
		for _, pod := range unit.Pods {
			victims = append(victims, victim{pod: pod.Info.GetPod(), message: messageFor(p, unit, pod.Info.GetPod(), node)})
		}
	}
	if len(victims) == 0 {
		return // the preemptor waits for pods that are leaving
	}
	e.mu.Lock()
	e.preempting[p.uid] = nil
	e.mu.Unlock()
	e.logger.V(2).Info("Evicting pods of lower priority", "preemptor", p.what, "node", node, "victims", len(victims))
	go e.run(p, victims)
}

// retryAfter is how long a preemptor waits after evictions that failed.
const retryAfter = 5 * time.Second

func (e *evictions) run(p preemptor, victims []victim) {
	ctx := klog.NewContext(context.Background(), e.logger)
	err := e.evictAll(ctx, p, victims)
	e.mu.Lock()
	delete(e.preempting, p.uid)
	e.mu.Unlock()
	if err == nil {
		return
	}
	e.logger.Error(err, "Could not evict all victims", "preemptor", p.what)
	time.AfterFunc(retryAfter, func() { e.handle.Activate(e.logger, cluster.ByName(p.pods...)) })
}

// evictAll asks the API server whether it would evict all victims, then marks and evicts them.
// If it refuses one, nobody is evicted.
func (e *evictions) evictAll(ctx context.Context, p preemptor, victims []victim) error {
	if err := e.each(ctx, victims, func(ctx context.Context, v victim) error { return e.evict(ctx, v.pod, true) }); err != nil {
		return err
	}
	// All are marked before any is evicted: a controller that replaces members of a gang sees
	// why all of them end.
	if err := e.each(ctx, victims, e.mark); err != nil {
		return err
	}
	last := len(victims) - 1
	remove := func(ctx context.Context, v victim) error { return e.remove(ctx, p, v) }
	err := e.each(ctx, victims[:last], remove)
	e.mu.Lock()
	e.preempting[p.uid] = victims[last].pod
	e.mu.Unlock()
	return errors.Join(err, remove(ctx, victims[last]))
}

// each calls do for each victim, several at a time, and returns all errors.
func (e *evictions) each(ctx context.Context, victims []victim, do func(context.Context, victim) error) error {
	errs := make([]error, len(victims))
	e.handle.Parallelizer().Until(ctx, len(victims), func(i int) { errs[i] = do(ctx, victims[i]) }, Name)
	return errors.Join(errs...)
}

// mark adds the condition DisruptionTarget to the victim's status. The Job controller and others
// read it.
func (e *evictions) mark(ctx context.Context, v victim) error {
	status := v.pod.Status.DeepCopy()
	changed := apipod.UpdatePodCondition(status, &v1.PodCondition{
		Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: v1.PodReasonPreemptionByScheduler, Message: v.message,
		ObservedGeneration: apipod.CalculatePodConditionObservedGeneration(&v.pod.Status, v.pod.Generation, v1.DisruptionTarget),
	})
	if !changed {
		return nil
	}
	err := util.PatchPodStatus(ctx, e.handle.ClientSet(), v.pod.Name, v.pod.Namespace, &v.pod.Status, status)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("marking victim %s: %w", klog.KObj(v.pod), err)
	}
	return nil
}

// Between the request for all victims and the evictions a budget may have changed. The others of a
// gang are gone by then, so an eviction is requested again for a while.
const (
	evictionTries = 20
	evictionPause = 3 * time.Second
)

// remove evicts a victim and records why.
func (e *evictions) remove(ctx context.Context, p preemptor, v victim) error {
	err := e.evict(ctx, v.pod, false)
	for range evictionTries {
		if !apierrors.IsTooManyRequests(err) {
			break
		}
		time.Sleep(evictionPause)
		err = e.evict(ctx, v.pod, false)
	}
	if err != nil {
		return err
	}
	e.handle.EventRecorder().Eventf(v.pod, p.object, v1.EventTypeNormal, "Preempted", "Preempting", "%s", v.message)
	return nil
}

// evict requests the eviction of a pod, within its PodDisruptionBudgets. A pod that is gone is no
// error.
func (e *evictions) evict(ctx context.Context, pod *v1.Pod, dry bool) error {
	options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	err := e.handle.ClientSet().PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}, DeleteOptions: options,
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("evicting %s: %w", klog.KObj(pod), err)
	}
	return nil
}
