// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// The reasons of events, on members and on the objects that declare gangs.
const (
	reasonScheduling = "FailedScheduling"
	reasonWaiting    = "GangWaiting"
	reasonPlaced     = "GangPlaced"
	reasonEvicted    = "GangMoves"
)

// ReasonWaitingForGang is the reason of the PodScheduled condition of a member whose gang is
// incomplete, or held back because its nodes are reserved for another gang. Autoscalers add
// nodes for pods with the reason Unschedulable, which members of a gang without room have.
const ReasonWaitingForGang = "WaitingForGang"

// Status is the content of the report on a gang.
type Status struct {
	gangstate.Status
	// PodGroup is the PodGroup of scheduling.k8s.io whose condition has the sentence too,
	// nil for none.
	PodGroup *schedulingv1beta1.PodGroup
}

// Reporter writes the reason why a gang waits to the gang's pods and owner, the object
// that declares the gang.
type Reporter struct {
	handle fwk.Handle
	// status returns the present status of a gang.
	status func(context.Context, gangs.Key) Status
	delay  time.Duration
	queue  workqueue.TypedDelayingInterface[gangs.Key]
	// leads is set once this replica leads. Until then nothing is reported: the leader
	// reports the same.
	leads atomic.Bool
	// written has the last message about each gang. It limits repeated messages about a
	// gang that waits for hours.
	written map[gangs.Key]*messageBackoff
	// waiting is the number of gangs in written.
	waiting atomic.Int64
	// noted has the mistakes in metadata that have an event.
	noted notedMistakes
}

// New returns a reporter that writes about a gang once it has waited for delay.
func New(handle fwk.Handle, delay time.Duration, status func(context.Context, gangs.Key) Status) *Reporter {
	return &Reporter{
		handle:  handle,
		status:  status,
		delay:   delay,
		queue:   workqueue.NewTypedDelayingQueue[gangs.Key](),
		written: map[gangs.Key]*messageBackoff{},
	}
}

// Lead begins to report. The caller then asks for a report on each gang that waits.
func (r *Reporter) Lead() { r.leads.Store(true) }

// Later schedules a report on the gang after the delay. Most gangs are placed within
// milliseconds of their first pod, so no report is written for them. It does nothing before
// Lead.
func (r *Reporter) Later(key gangs.Key) {
	if r.leads.Load() {
		r.queue.AddAfter(key, r.delay)
	}
}

// Placed writes an event on the owner that its gang is placed.
func (r *Reporter) Placed(attempt *gangstate.Attempt, members int) {
	r.onOwner(attempt.Gang.Owner, v1.EventTypeNormal, reasonPlaced,
		fmt.Sprintf("%s of %s placed in %s", plan.Count(members, "member"), attempt.Key, attempt.Domain))
	r.onDeclaration(&attempt.Gang)
	r.Later(attempt.Key)
}

// Evicting writes an event on the owner that the remaining members of its gang are evicted.
// It does not wait for the delay: the gang may be placed again before then.
func (r *Reporter) Evicting(key gangs.Key) {
	status := r.status(context.Background(), key)
	r.onOwner(status.Gang.Owner, v1.EventTypeNormal, reasonEvicted, status.Sentence)
	r.Later(key)
}

// Evicted writes an event on an evicted member, with the reason for the eviction.
func (r *Reporter) Evicted(key gangs.Key, pod *v1.Pod) {
	r.handle.EventRecorder().Eventf(pod, nil, v1.EventTypeNormal, reasonEvicted, "Evicting", "%s",
		gangs.Note("gang "+key.String()+" cannot run whole here, so its members are evicted; it is placed whole again"))
}

// Waiting returns the number of gangs with a message that wait.
func (r *Reporter) Waiting() int { return int(r.waiting.Load()) }

// Run writes reports until the context ends.
func (r *Reporter) Run(ctx context.Context) {
	go func() {
		<-ctx.Done()
		r.queue.ShutDown()
	}()
	for {
		key, stop := r.queue.Get()
		if stop {
			return
		}
		err := r.write(ctx, key)
		r.waiting.Store(int64(len(r.written)))
		if err != nil {
			klog.FromContext(ctx).Error(err, "Could not write why a gang waits", "gang", key)
			r.Later(key)
		}
		r.queue.Done(key)
	}
}

// write reports why a gang waits: on its pods, its owner and its PodGroup. It waits while
// members or their claims still come. During the pause after a message, a changed sentence
// is written only to the PodGroup and to pods that have no reason yet.
func (r *Reporter) write(ctx context.Context, key gangs.Key) error {
	status := r.status(ctx, key)
	if len(status.Pods) == 0 {
		delete(r.written, key)
		return nil
	}
	if status.Sentence == "" {
		return nil // a member is in its cycle, whose result will be reported
	}
	r.onDeclaration(&status.Gang)
	last, now := r.written[key], time.Now()
	if left := r.delay - now.Sub(status.ProgressAt); left > 0 {
		r.queue.AddAfter(key, left)
		return nil
	}
	if last == nil {
		last = &messageBackoff{}
		r.written[key] = last
	}
	var failed []error
	pods := status.Pods
	switch {
	case last.sentence == status.Sentence:
	case now.Before(last.next):
		r.queue.AddAfter(key, last.next.Sub(now))
		pods = slices.DeleteFunc(pods, hasReason)
	default:
		if err := r.onOwnerAnew(ctx, status.Gang.Owner, status.Sentence); err != nil {
			failed = append(failed, err) // go on with the pods; Run repeats the whole report later
			break
		}
		last.note(status.Sentence, len(pods), now)
	}
	failed = append(failed, r.onPodGroup(ctx, status.PodGroup, status.Sentence))
	if left := deferToScheduler(len(status.Pods)) - now.Sub(status.RefusedSince); left > 0 {
		r.queue.AddAfter(key, left)
		return errors.Join(failed...)
	}
	for _, pod := range pods {
		if len(pod.Spec.SchedulingGates) > 0 {
			continue // its condition names the gate; autoscalers must not add nodes for it yet
		}
		if err := r.onPod(ctx, pod, &status); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
