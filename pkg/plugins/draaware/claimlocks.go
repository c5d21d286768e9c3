// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// claimLocks lets only one pod at a time reserve a claim that several pods share: all of
// them change the claim's reservedFor list. It is safe for concurrent use.
type claimLocks struct {
	mu      sync.Mutex
	byClaim map[types.UID]*claimLock
}

// claimLock is the lock of one claim. It exists while pods hold it or wait for it.
type claimLock struct {
	sync.Mutex
	users int
}

func newClaimLocks() *claimLocks { return &claimLocks{byClaim: map[types.UID]*claimLock{}} }

// len returns the number of claims with a lock.
func (t *claimLocks) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byClaim)
}

// take locks the claims. The function it returns unlocks them.
func (t *claimLocks) take(claims []types.UID) (leave func()) {
	slices.Sort(claims) // a fixed order avoids deadlock between pods that share the same claims
	taken := t.join(claims)
	for _, lock := range taken {
		lock.Lock()
	}
	return func() {
		for _, lock := range taken {
			lock.Unlock()
		}
		t.part(claims)
	}
}

func (t *claimLocks) join(claims []types.UID) []*claimLock {
	t.mu.Lock()
	defer t.mu.Unlock()
	joined := make([]*claimLock, len(claims))
	for i, claim := range claims {
		if t.byClaim[claim] == nil {
			t.byClaim[claim] = &claimLock{}
		}
		joined[i] = t.byClaim[claim]
		joined[i].users++
	}
	return joined
}

func (t *claimLocks) part(claims []types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, claim := range claims {
		if t.byClaim[claim].users--; t.byClaim[claim].users == 0 {
			delete(t.byClaim, claim)
		}
	}
}
