// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package claimwrites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/writes"
)

// Attempt records, for one call of the in-tree DynamicResources plugin, the writes of
// ResourceClaim statuses that ended without proof whether they were carried out. It
// records no writes of finalizers: a finalizer that is added late does no harm.
type Attempt struct {
	patience time.Duration
	mu       sync.Mutex
	lost     []Lost
}

// Lost is a write that the API server may have carried out or may still carry out.
type Lost struct {
	// Sent is the claim as it was sent. The API server carries out the write only on the
	// resource version that Sent has.
	Sent *resourceapi.ResourceClaim
	// At is when the last request that may have been carried out ended.
	At time.Time
}

type attemptKey struct{}

// Begin returns a context for one call of the in-tree plugin. If the answer to a write of
// this call is lost, the client reads the claim and repeats the write for at most the
// time patience, 0 for never.
func Begin(ctx context.Context, patience time.Duration) (context.Context, *Attempt) {
	a := &Attempt{patience: patience}
	return context.WithValue(ctx, attemptKey{}, a), a
}

// Lost returns the writes that ended without proof whether they were carried out.
func (a *Attempt) Lost() []Lost {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.lost)
}

func (a *Attempt) add(lost Lost) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost = append(a.lost, lost)
}

// update is a write that names the resource version on which it is to be carried out.
type update struct {
	sent *resourceapi.ResourceClaim
	send func(claim *resourceapi.ResourceClaim) (*resourceapi.ResourceClaim, error)
	// shows reports whether the claim has what was sent.
	shows func(now, sent *resourceapi.ResourceClaim) bool
	// allocates is set if the update changes which devices the claim holds.
	allocates bool
	// lost is the end of the last request that may have been carried out, zero if there was
	// none.
	lost time.Time
}

// The pauses between two rounds in which settle reads the claim and repeats a write.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
	// readTimeout is the longest time of one read.
	readTimeout = 10 * time.Second
)

// write sends the update. Within an Attempt, if the answer is lost, it finds out whether
// the update was carried out. If it cannot, it records an update of devices in the Attempt.
func (c *claims) write(ctx context.Context, u *update) (*resourceapi.ResourceClaim, error) {
	answer, err := u.request()
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	if err == nil || a == nil {
		return answer, err
	}
	if a.patience > 0 {
		answer, err = c.settle(ctx, u, a.patience, err)
	}
	if err != nil && u.allocates && !u.lost.IsZero() {
		a.add(Lost{Sent: u.sent.DeepCopy(), At: u.lost})
	}
	return answer, err
}

func (u *update) request() (*resourceapi.ResourceClaim, error) {
	answer, err := u.send(u.sent.DeepCopy())
	if err != nil && !writes.Refused(err) {
		u.lost = time.Now()
	}
	return answer, err
}

// settle reads the claim and repeats the update until a read or an answer shows whether
// the update was carried out, or the time is over. It returns the claim if the update was
// carried out, and otherwise the error of the last request.
func (c *claims) settle(ctx context.Context, u *update, patience time.Duration, err error) (*resourceapi.ResourceClaim, error) {
	end := time.Now().Add(patience)
	for pause := firstPause; undecided(err); pause = min(2*pause, longestPause) {
		now, readErr := c.read(ctx, u.sent.Name, time.Until(end))
		switch {
		case apierrors.IsNotFound(readErr) || readErr == nil && now.UID != u.sent.UID:
			u.lost = time.Time{}
			return nil, apierrors.NewNotFound(resourceapi.Resource("resourceclaims"), u.sent.Name)
		case readErr == nil && u.shows(now, u.sent):
			return now, nil
		case readErr == nil && now.ResourceVersion != u.sent.ResourceVersion:
			// Another write was first, and the API server will refuse all requests of u.
			u.lost = time.Time{}
			return nil, apierrors.NewConflict(resourceapi.Resource("resourceclaims"), u.sent.Name, fmt.Errorf("it changed while a write was repeated: %w", err))
		case time.Now().Add(pause).After(end):
			if apierrors.IsConflict(err) {
				u.lost = time.Now() // see undecided
			}
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
		if readErr != nil {
			continue // the API server cannot be reached
		}
		answer, again := u.request()
		if again == nil {
			return answer, nil
		}
		err = again
	}
	return nil, err
}

// undecided reports whether a read or a repetition may still help after the error. A
// conflict needs a read: client-go repeats requests by itself, and the first of them may
// have been carried out and so caused the conflict of the next. A server that is busy or
// not there may be back soon.
func undecided(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || !writes.Refused(err) || apierrors.IsConflict(err) || apierrors.IsTooManyRequests(err)
}

// read gets the newest state of the claim from etcd.
func (c *claims) read(ctx context.Context, name string, patience time.Duration) (*resourceapi.ResourceClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, min(readTimeout, patience))
	defer cancel()
	return c.Get(ctx, name, metav1.GetOptions{})
}

// hasFinalizers reports whether the claim has all finalizers that were sent.
func hasFinalizers(now, sent *resourceapi.ResourceClaim) bool {
	for _, finalizer := range sent.Finalizers {
		if !slices.Contains(now.Finalizers, finalizer) {
			return false
		}
	}
	return true
}

// hasStatus reports whether the claim has the allocated devices and the users
// (reservedFor) that were sent.
func hasStatus(now, sent *resourceapi.ResourceClaim) bool {
	if (now.Status.Allocation == nil) != (sent.Status.Allocation == nil) {
		return false
	}
	if sent.Status.Allocation != nil && !slices.EqualFunc(now.Status.Allocation.Devices.Results, sent.Status.Allocation.Devices.Results, sameDevice) {
		return false
	}
	for _, user := range sent.Status.ReservedFor {
		if !slices.ContainsFunc(now.Status.ReservedFor, func(other resourceapi.ResourceClaimConsumerReference) bool { return other.UID == user.UID }) {
			return false
		}
	}
	return true
}

func sameDevice(a, b resourceapi.DeviceRequestAllocationResult) bool {
	return a.Request == b.Request && a.Driver == b.Driver && a.Pool == b.Pool && a.Device == b.Device
}
