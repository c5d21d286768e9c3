// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// The reasons of our events, on members and on the objects that declare gangs.
const (
	reasonScheduling = "FailedScheduling"
	reasonWaiting    = "GangWaiting"
	reasonPlaced     = "GangPlaced"
	reasonEvicted    = "GangMoves"
)

// reporter keeps the sentence that says why a gang waits on its pods and on its
// owner. Stock writes it on pods that were tried; pods that wait in PreEnqueue,
// or for a member that asks on behalf of all, would otherwise say nothing.
type reporter struct {
	handle fwk.Handle
	book   *book
	// inGroup is how a PodGroup of scheduling.k8s.io stands that is not in the book; nil
	// if the scheduler has no cycle of its own for those.
	inGroup func(gangs.Key) standing
	delay   time.Duration
	queue   workqueue.TypedDelayingInterface[gangs.Key]
	// said is what was last written of each gang, so that one which waits for hours
	// does not repeat itself.
	said map[gangs.Key]*told
}

func newReporter(handle fwk.Handle, book *book, delay time.Duration) *reporter {
	return &reporter{
		handle: handle,
		book:   book,
		delay:  delay,
		queue:  workqueue.NewTypedDelayingQueue[gangs.Key](),
		said:   map[gangs.Key]*told{},
	}
}

// later has the gang's sentence written once it has waited for a while. Most
// gangs are whole within milliseconds of their first pod, and never reported.
func (r *reporter) later(key gangs.Key) {
	r.queue.AddAfter(key, r.delay)
}

// placed tells the owner that its gang runs.
func (r *reporter) placed(att *attempt, members int) {
	r.onOwner(att.gang.Owner, v1.EventTypeNormal, reasonPlaced, fmt.Sprintf("%d members of %s placed in %s", members, att.key, att.where))
	r.later(att.key)
}

// moves tells the owner at once that what is left of its gang has to go: the gang
// may be whole elsewhere before a sentence is due.
func (r *reporter) moves(key gangs.Key) {
	state := r.book.standing(key)
	r.onOwner(state.gang.Owner, v1.EventTypeNormal, reasonEvicted, state.sentence)
	r.later(key)
}

// evicted tells a member why it has to go.
func (r *reporter) evicted(key gangs.Key, pod *v1.Pod) {
	r.handle.EventRecorder().Eventf(pod, nil, v1.EventTypeNormal, reasonEvicted, "Evicting", "%s",
		gangs.Note("gang "+key.String()+" lost members for which there is no room here; it is placed whole elsewhere"))
}

func (r *reporter) run(ctx context.Context) {
	go func() {
		<-ctx.Done()
		r.queue.ShutDown()
	}()
	for {
		key, stop := r.queue.Get()
		if stop {
			return
		}
		if err := r.write(ctx, key); err != nil {
			klog.FromContext(ctx).Error(err, "Could not write why a gang waits", "gang", key)
			r.later(key)
		}
		r.queue.Done(key)
	}
}

// standing is how a gang stands, whoever places it.
func (r *reporter) standing(key gangs.Key) standing {
	state := r.book.standing(key)
	if state.sentence == "" && r.inGroup != nil && key.Source == gangs.PodGroupSource {
		return r.inGroup(key)
	}
	return state
}

// write brings pods and owner up to date with what the book says now. A sentence
// that changes again soon is written only on pods that say nothing yet.
func (r *reporter) write(ctx context.Context, key gangs.Key) error {
	state := r.standing(key)
	if len(state.pods) == 0 {
		delete(r.said, key)
		return nil
	}
	if state.sentence == "" {
		return nil // a member is asking; what it hears is reported
	}
	last, now := r.said[key], time.Now()
	if last == nil {
		last = &told{}
		r.said[key] = last
	}
	var failed []error
	pods := state.pods
	switch {
	case last.sentence == state.sentence:
	case now.Before(last.next):
		r.queue.AddAfter(key, last.next.Sub(now))
		pods = slices.DeleteFunc(pods, hasReason)
	default:
		if err := r.waits(ctx, state.gang.Owner, state.sentence); err != nil {
			failed = append(failed, err) // the pods are told nevertheless, and both are tried again
			break
		}
		last.now(state.sentence, len(pods), now)
	}
	failed = append(failed, r.onGroup(ctx, state.group, state.sentence))
	if left := hearing(len(state.pods)) - now.Sub(state.refusedSince); left > 0 {
		r.queue.AddAfter(key, left)
		return errors.Join(failed...)
	}
	for _, pod := range pods {
		if len(pod.Spec.SchedulingGates) > 0 {
			continue // its condition names the gate; an autoscaler must not make room for it yet
		}
		if err := r.onPod(ctx, pod, state.sentence); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (r *reporter) onOwner(owner v1.ObjectReference, kind, reason, note string) {
	if owner.Name == "" {
		return // the declaring object does not exist; its pods say so
	}
	r.handle.EventRecorder().Eventf(&owner, nil, kind, reason, "Scheduling", "%s", gangs.Note(note))
}

// onPod writes the sentence as the pod's PodScheduled condition, where cluster
// autoscalers and people look for it, and as an event if it is not what the pod said
// before with other numbers.
func (r *reporter) onPod(ctx context.Context, pod *v1.Pod, sentence string) error {
	status := pod.Status.DeepCopy()
	before := whyNot(status)
	if strings.Contains(before, sentence) {
		return nil
	}
	changed := podutil.UpdatePodCondition(status, &v1.PodCondition{
		Type:               v1.PodScheduled,
		ObservedGeneration: podutil.CalculatePodConditionObservedGeneration(status, pod.Generation, v1.PodScheduled),
		Status:             v1.ConditionFalse,
		Reason:             v1.PodReasonUnschedulable,
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
	if sameWords(before, sentence) {
		return nil
	}
	r.handle.EventRecorder().Eventf(pod, nil, v1.EventTypeWarning, reasonScheduling, "Scheduling", "%s", gangs.Note(sentence))
	return nil
}

// whyNot is what the pod says of why it waits: our sentence by itself or within the
// words that stock puts around it.
func whyNot(status *v1.PodStatus) string {
	_, condition := podutil.GetPodCondition(status, v1.PodScheduled)
	if condition == nil || condition.Status != v1.ConditionFalse {
		return ""
	}
	return condition.Message
}

// sameWords says that the sentence was said before, with the same numbers or others. It
// is the same up to its details, which stand behind a semicolon: of those some come
// and go with the numbers.
func sameWords(before, sentence string) bool {
	head, _, _ := strings.Cut(sentence, ";")
	words := func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}
	return strings.Contains(strings.Map(words, before), strings.Map(words, head))
}
