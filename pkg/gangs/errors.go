// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
)

var (
	// ErrNotFound reports that the declaring object does not exist (yet).
	ErrNotFound = errors.New("does not exist")
	// ErrNotInstalled reports that the object cannot exist, because the API
	// server does not serve its kind.
	ErrNotInstalled = errors.New("kind is not installed")
	// ErrNotRead reports that nothing is known about the object, because its kind
	// could not be read so far.
	ErrNotRead = errors.New("could not be read")
	// ErrNoGang reports that the object exists and declares no gang. Pods that
	// were held while that was not known are pods like any other.
	ErrNoGang = errors.New("declares no gang")
)

// LookupError is how a lookup answers when it has no object. Its text is a
// sentence for users; errors.Is tells the reasons apart.
type LookupError struct {
	Key Key
	// Reason is ErrNotFound, ErrNotInstalled, ErrNotRead or ErrNoGang.
	Reason error
	// Listing says of ErrNotRead that nothing failed: the objects of the kind
	// are on their way.
	Listing bool
	// Detail completes the sentence for ErrNotInstalled (what is missing) and
	// for ErrNotRead (what the API server said).
	Detail string
}

// Error returns the sentence.
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

// mayStillCome says of a lookup's error that the object, which was not there
// yet, may show up at any moment and declare a gang.
func mayStillCome(err error) bool {
	lookup := (*LookupError)(nil)
	return errors.As(err, &lookup) && (errors.Is(lookup.Reason, ErrNotFound) || lookup.Listing)
}

// MalformedError is how a lookup answers when the object exists but is not of
// the shape that its kind promises. Such a gang waits with this sentence.
type MalformedError struct {
	Key     Key
	Owner   corev1.ObjectReference
	Created time.Time
	Detail  string
}

// Error returns the sentence.
func (e *MalformedError) Error() string {
	return e.Key.String() + " is malformed: " + e.Detail
}
