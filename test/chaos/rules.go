// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"slices"
	"sync"
	"time"
)

// treatment is what the proxy does to a request instead of passing it on.
type treatment int

const (
	// cutBefore breaks the connection before the API server gets the request.
	cutBefore treatment = iota
	// cutAfter breaks the connection after the API server has done the write.
	cutAfter
	// answer answers with rule.code; the API server does not get the request.
	answer
	// answerAfter answers with rule.code after the API server has done the write.
	answerAfter
	// delay passes the request on after rule.pause.
	delay
)

// rule gives some of the next requests its treatment.
type rule struct {
	// kind is the name of the fault that made the rule.
	kind      string
	matches   func(request) bool
	treatment treatment
	code      int
	pause     time.Duration
	// skip is the number of matching requests to pass on first; left is the number to treat.
	skip, left int
	until      time.Time
}

// after reports whether the treatment follows a write that the API server has done.
func (r *rule) after() bool { return r.treatment == cutAfter || r.treatment == answerAfter }

// rules are the rules of a proxy. Of the rules that match a request, the oldest applies.
type rules struct {
	mu    sync.Mutex
	armed []*rule
}

func (r *rules) arm(added *rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = append(r.armed, added)
}

// take returns the rule for a request, or nil.
func (r *rules) take(asked request) *rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.armed = slices.DeleteFunc(r.armed, func(armed *rule) bool { return armed.left <= 0 || now.After(armed.until) })
	for _, armed := range r.armed {
		if !armed.matches(asked) {
			continue
		}
		if armed.skip > 0 {
			armed.skip--
			continue
		}
		armed.left--
		return armed
	}
	return nil
}

// giveBack lets a rule treat another request, because the API server itself refused the write.
func (r *rules) giveBack(taken *rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken.left++
}

func (r *rules) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = nil
}
