// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
)

var (
	// ErrNotFound reports that the object which declares a gang does not exist (yet).
	ErrNotFound = errors.New("does not exist")
	// ErrNotInstalled reports that the object which declares a gang cannot exist, because
	// the API server does not serve its kind.
	ErrNotInstalled = errors.New("kind is not installed")
	// ErrNotRead reports that it is unknown whether the object which declares a gang exists,
	// because its kind could not be read so far.
	ErrNotRead = errors.New("could not be read")
	// ErrNoGang reports that the object which could declare a gang exists and declares none.
	// Pods that waited until this was known are then scheduled as pods without a gang.
	ErrNoGang = errors.New("declares no gang")
)

// LookupError reports that the object which declares a gang is not available. Its text is
// a sentence for users; errors.Is distinguishes the reasons.
type LookupError struct {
	Key Key
	// Reason is ErrNotFound, ErrNotInstalled, ErrNotRead or ErrNoGang.
	Reason error
	// Listing is true if Reason is ErrNotRead and nothing failed: the first list of the
	// object's kind is still in progress.
	Listing bool
	// Detail completes the sentence: the missing API for ErrNotInstalled, the answer of the
	// API server for ErrNotRead.
	Detail string
}

// Error returns the reason as a sentence for users.
func (e *LookupError) Error() string {
	switch {
	case errors.Is(e.Reason, ErrNotInstalled):
		return e.Key.String() + " cannot exist: " + e.Detail + " is not installed"
	case errors.Is(e.Reason, ErrNotRead):
		return e.Key.String() + " could not be read so far: " + e.Detail
	case errors.Is(e.Reason, ErrNoGang):
		return e.Key.String() + " declares no gang"
	default:
		return e.Key.String() + " does not exist"
	}
}

// Unwrap returns the reason.
func (e *LookupError) Unwrap() error {
	return e.Reason
}

// mayStillCome reports, from the error of a lookup, that the object was missing but may
// still appear and declare a gang.
func mayStillCome(err error) bool {
	lookup := (*LookupError)(nil)
	return errors.As(err, &lookup) && (errors.Is(lookup.Reason, ErrNotFound) || lookup.Listing)
}

// MalformedError reports that the object which declares a gang exists and does not match
// the schema of its kind. The gang waits, with this error as the reason.
type MalformedError struct {
	Key     Key
	Owner   corev1.ObjectReference
	Created time.Time
	Detail  string
}

// Error returns the reason as a sentence for users.
func (e *MalformedError) Error() string {
	return e.Key.String() + " is malformed: " + e.Detail
}
