// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A sentence has numbers that change with every pod that comes or goes in the
// cluster, and to write it costs a request for each member. So it is written again
// after a pause that doubles, and that is longer for larger gangs: one of 500 is told
// after 10 seconds and in the end every two minutes, one of 5 after a second and in
// the end every ten seconds. A member gets an event as well only when the words
// change; those of the gang's owner tell of the numbers.
const (
	pauseOfMember    = 20 * time.Millisecond
	maxPauseOfMember = 240 * time.Millisecond
	leastPause       = time.Second
	leastMaxPause    = 10 * time.Second
)

// firstPause is the pause after a sentence on so many pods was written once.
func firstPause(pods int) time.Duration {
	return max(leastPause, time.Duration(pods)*pauseOfMember)
}

// maxHearing bounds hearing, for the sake of members that are kept out of the queue
// and hear of it from us alone.
const maxHearing = 10 * time.Second

// hearing is for how long a refusal is left to the scheduler to write on so many
// members. Those of a gang refused for the first time are in the queue, and each
// hears it in a cycle of its own: to write the same in that time would cost most
// of them another request and another event.
func hearing(pods int) time.Duration {
	return min(firstPause(pods), maxHearing)
}

// told is what was last written of a gang.
type told struct {
	sentence string
	// next is when another sentence may be written, pause how long that is after this
	// one.
	next  time.Time
	pause time.Duration
}

// now notes that the sentence is written on so many pods.
func (t *told) now(sentence string, pods int, at time.Time) {
	most := max(leastMaxPause, time.Duration(pods)*maxPauseOfMember)
	t.sentence, t.pause = sentence, min(max(firstPause(pods), 2*t.pause), most)
	t.next = at.Add(t.pause)
}

// hasReason says that the pod tells already why it waits, or did a while ago.
func hasReason(pod *v1.Pod) bool {
	return whyNot(&pod.Status) != ""
}

// waits writes the sentence as an event of its own on the owner. The scheduler's
// recorder would take it for a repetition of the sentence before, and keep that.
func (r *reporter) waits(ctx context.Context, owner v1.ObjectReference, sentence string) error {
	if owner.Name == "" {
		return nil // the declaring object does not exist; its pods say so
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
