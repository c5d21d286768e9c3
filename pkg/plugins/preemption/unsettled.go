// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// settleTime is how long a pod waits for pods of lower priority that are being bound, before
	// a gang is evicted for it. In a busy cluster some pods are always being bound.
	settleTime = 3 * time.Second
	// settleStep is the time after which the pod looks again.
	settleStep = 500 * time.Millisecond
)

// unsettled has the pods that wait for pods of lower priority which are being bound: a moment
// later these may be victims, and no gang has to end.
type unsettled struct {
	activate func(*v1.Pod)

	mu sync.Mutex
	// since has, by pod, the time at which it began to wait.
	since map[types.UID]time.Time
}

func newUnsettled(activate func(*v1.Pod)) *unsettled {
	return &unsettled{activate: activate, since: map[types.UID]time.Time{}}
}

// waits reports whether the pod is still to wait.
func (u *unsettled) waits(pod *v1.Pod) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	since, known := u.since[pod.UID]
	if !known {
		u.since[pod.UID] = time.Now()
		time.AfterFunc(10*settleTime, func() {
			u.mu.Lock()
			defer u.mu.Unlock()
			delete(u.since, pod.UID)
		})
		return true
	}
	return time.Since(since) < settleTime
}

// tryAgain activates the pod after a moment.
func (u *unsettled) tryAgain(pod *v1.Pod) {
	time.AfterFunc(settleStep, func() { u.activate(pod) })
}
