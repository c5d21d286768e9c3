// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// turns let one sharer at a time add itself to a claim: each adds itself to the
// same list in the same object. It is safe for concurrent use.
type turns struct {
	mu      sync.Mutex
	byClaim map[types.UID]*turn
}

// turn is one claim's, for as long as somebody has or wants it.
type turn struct {
	sync.Mutex
	users int
}

func newTurns() *turns { return &turns{byClaim: map[types.UID]*turn{}} }

// take waits until nobody else has a turn at any of the claims. The caller calls
// what it returns when it has added itself.
func (t *turns) take(claims []types.UID) (leave func()) {
	slices.Sort(claims) // two who want the same two must not wait for each other
	taken := t.join(claims)
	for _, one := range taken {
		one.Lock()
	}
	return func() {
		for _, one := range taken {
			one.Unlock()
		}
		t.part(claims)
	}
}

func (t *turns) join(claims []types.UID) []*turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	joined := make([]*turn, len(claims))
	for i, claim := range claims {
		if t.byClaim[claim] == nil {
			t.byClaim[claim] = &turn{}
		}
		joined[i] = t.byClaim[claim]
		joined[i].users++
	}
	return joined
}

func (t *turns) part(claims []types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, claim := range claims {
		if t.byClaim[claim].users--; t.byClaim[claim].users == 0 {
			delete(t.byClaim, claim)
		}
	}
}
