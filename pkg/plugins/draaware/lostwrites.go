// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/util/assumecache"

	"github.com/dovetail-dev/dovetail/pkg/claimwrites"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// A write of a claim whose answer is lost may have been carried out. Until the API server
// shows the claim, its devices stay reserved and its pods wait.

// patience has the time limits for writes whose answers were lost.
type patience struct {
	// binding is how long a binding reads the claim again and repeats a write without an answer.
	binding time.Duration
	// inFlight is how long a request can wait in the API server before it is carried out. A
	// claim that has not changed proves nothing before: the request may still be carried out
	// after the read. The API server gives up a request after --request-timeout, 60 s by
	// default.
	inFlight time.Duration
}

var defaultPatience = patience{binding: time.Minute, inFlight: time.Minute}

// lostWrites has the claims whose state is unknown. It is safe for concurrent use.
type lostWrites struct {
	tracker *tracker
	logger  klog.Logger
	// ctx ends with the scheduler.
	ctx context.Context
	// read gets the claim from the API server.
	read func(ctx context.Context, namespace, name string) (*resourceapi.ResourceClaim, error)
	// activate returns pods to the scheduling queue, by namespace/name.
	activate func(pods map[string]*v1.Pod)
	inFlight time.Duration

	mu      sync.Mutex
	byClaim map[types.NamespacedName]*lostWrite
}

// lostWrite is a claim whose state is unknown.
type lostWrite struct {
	sent *resourceapi.ResourceClaim
	// pods are the pod of the write and those that were refused because of it, by
	// namespace/name.
	pods map[string]*v1.Pod
	// until is when no request can be in flight any more.
	until time.Time
	// pending is the UID of the pending allocation that the write keeps alive by its share, "" if none.
	pending types.UID
}

// add records a write of one of the pod's claims that may have been carried out. If the write
// was to allocate the claim, the claim's pending allocation, known by the given UID, stays.
func (l *lostWrites) add(pod *v1.Pod, write claimwrites.Lost, pending types.UID) {
	key := types.NamespacedName{Namespace: write.Sent.Namespace, Name: write.Sent.Name}
	l.mu.Lock()
	defer l.mu.Unlock()
	lost, known := l.byClaim[key]
	if !known || lost.sent.UID != write.Sent.UID {
		lost = &lostWrite{pods: map[string]*v1.Pod{}}
		l.byClaim[key] = lost
		go l.settle(key, lost)
	}
	lost.sent, lost.until = write.Sent, write.At.Add(l.inFlight)
	lost.pods[cluster.NameOf(pod)] = pod
	if write.Sent.Status.Allocation == nil || pending == "" || lost.pending != "" || l.allocated(key, write.Sent.UID) {
		return
	}
	if err := l.tracker.reserve(pending, write.Sent); err != nil {
		l.logger.Error(err, "Devices of a claim whose state is unknown are not reserved", "resourceclaim", key)
		return
	}
	lost.pending = pending
	l.logger.Info("The answer to a write was lost; the devices stay reserved", "resourceclaim", key, "pod", klog.KObj(pod))
}

// allocated reports whether the claim tracker (the scheduler's own state) shows an allocation.
func (l *lostWrites) allocated(key types.NamespacedName, uid types.UID) bool {
	now, err := l.tracker.ResourceClaimTracker.Get(key.Namespace, key.Name)
	return err == nil && now.UID == uid && now.Status.Allocation != nil
}

// removed records that the claim's pending allocation was removed, with the shares of all pods.
func (l *lostWrites) removed(pending types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lost := range l.byClaim {
		if lost.pending == pending {
			lost.pending = ""
		}
	}
}

// refusal returns why a pod must wait for one of its claims whose state is unknown, "" if it
// need not. The pod is activated when the claim's state is known.
func (l *lostWrites) refusal(pod *v1.Pod) string {
	if l == nil {
		return "" // the scheduler allocates no claims
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byClaim) == 0 {
		return ""
	}
	for name := range resourceclaim.PodClaims(pod) {
		if lost := l.byClaim[types.NamespacedName{Namespace: pod.Namespace, Name: name}]; lost != nil {
			lost.pods[cluster.NameOf(pod)] = pod
			return fmt.Sprintf("the API server's answer to a write of resource claim %s/%s was lost; its devices stay reserved until its state is known", pod.Namespace, name)
		}
	}
	return ""
}

// The first and longest pauses between looks at a claim of unknown state; a look's time limit.
const (
	firstLook   = 100 * time.Millisecond
	longestLook = 5 * time.Second
	lookTimeout = 10 * time.Second
)

// settle waits until the claim's state is known, drops the write's share and wakes the pod.
func (l *lostWrites) settle(key types.NamespacedName, lost *lostWrite) {
	for pause := firstLook; !l.end(key, lost); pause = min(2*pause, longestLook) {
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
	if lost.pending != "" {
		l.tracker.MaybeRemoveClaimPendingAllocation(lost.pending, false)
	}
	l.logger.Info("The state of a claim is known again", "resourceclaim", key, "allocated", l.allocated(key, lost.sent.UID))
	l.activate(lost.pods)
}

// end forgets the write if the claim's state is known. It returns false if the state is not
// known, also because there was another write meanwhile.
func (l *lostWrites) end(key types.NamespacedName, lost *lostWrite) bool {
	l.mu.Lock()
	sent, until := lost.sent, lost.until
	l.mu.Unlock()
	if !l.known(key, sent, until) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if lost.sent != sent {
		return false
	}
	if l.byClaim[key] == lost {
		delete(l.byClaim, key)
	}
	return true
}

// known reports whether the claim tracker shows what became of the write: a newer version of
// the claim, or the same version after the last request must have ended.
func (l *lostWrites) known(key types.NamespacedName, sent *resourceapi.ResourceClaim, until time.Time) bool {
	if now, err := l.tracker.ResourceClaimTracker.Get(key.Namespace, key.Name); err == nil && decides(now, sent) {
		return true
	}
	over := time.Now().After(until) // must come before the read below
	ctx, cancel := context.WithTimeout(l.ctx, lookTimeout)
	defer cancel()
	now, err := l.read(ctx, key.Namespace, key.Name)
	switch {
	case apierrors.IsNotFound(err):
		return true
	case err != nil:
		return false
	case errors.Is(l.tracker.AssumeClaimAfterAPICall(now), assumecache.ErrNotFound):
		return now.UID != sent.UID // the informer will show the claim
	}
	return decides(now, sent) || over
}

// decides reports whether the API server will refuse the write (sent) or has carried it out,
// because the claim has another version by now.
func decides(now, sent *resourceapi.ResourceClaim) bool {
	return now.UID != sent.UID || versionOf(now) > versionOf(sent)
}

// versionOf returns the claim's resource version, 0 if it is not a number.
func versionOf(claim *resourceapi.ResourceClaim) int64 {
	version, err := strconv.ParseInt(claim.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return version
}
