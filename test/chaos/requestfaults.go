// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Functions that select the requests of a rule.
var (
	bindings    = resource("pods/binding")
	claimStatus = resource("resourceclaims/status")
	podStatus   = resource("pods/status")
)

func resource(name string) func(request) bool {
	return func(r request) bool { return r.write() && r.resource == name }
}

// otherWrites selects all writes except those above and those of leader election.
func otherWrites(r request) bool {
	return r.write() && !r.lease() && !bindings(r) && !claimStatus(r) && !podStatus(r) && r.resource != ""
}

func anyWrite(r request) bool { return r.write() && !r.lease() && r.resource != "" }

func claimWrites(r request) bool { return r.write() && strings.HasPrefix(r.resource, "resourceclaims") }

func lists(r request) bool { return r.verb == "list" }

func watchesOf(r request) bool { return r.verb == "watch" }

func leaseWrites(r request) bool { return r.write() && r.lease() }

const (
	// ruleLife is how long a rule waits for its requests.
	ruleLife = 5 * time.Second
	// mostTreated is the greatest number of requests to which a rule applies.
	mostTreated = 3
)

// onRequests returns a fault that cuts, answers or delays (treatment) a few of the next
// requests.
func onRequests(name string, weight int, matches func(request) bool, treatment treatment, code int) fault {
	return fault{name: name, weight: weight, counts: true, apply: func(_ context.Context, r *rig, random *rand.Rand) error {
		skip, left := random.IntN(4), 1+random.IntN(mostTreated)
		pause := time.Duration(100+random.IntN(2900)) * time.Millisecond
		for _, proxy := range r.proxies {
			proxy.arm(&rule{
				kind: name, matches: matches, treatment: treatment, code: code, pause: pause,
				skip: skip, left: left, until: time.Now().Add(ruleLife),
			})
		}
		return nil
	}}
}

// requestFaults happen to single requests of Dovetail.
var requestFaults = []fault{
	onRequests("answer-lost-binding", 12, bindings, cutAfter, 0),
	onRequests("answer-lost-claim-status", 12, claimStatus, cutAfter, 0),
	onRequests("answer-lost-pod-status", 4, podStatus, cutAfter, 0),
	onRequests("answer-lost-other-write", 4, otherWrites, cutAfter, 0),
	onRequests("request-lost-binding", 6, bindings, cutBefore, 0),
	onRequests("request-lost-claim", 6, claimWrites, cutBefore, 0),
	onRequests("request-lost-other", 3, anyWrite, cutBefore, 0),
	onRequests("409-binding", 3, bindings, answer, http.StatusConflict),
	onRequests("409-claim", 3, claimWrites, answer, http.StatusConflict),
	onRequests("429-write", 3, anyWrite, answer, http.StatusTooManyRequests),
	onRequests("500-binding", 3, bindings, answer, http.StatusInternalServerError),
	onRequests("500-claim", 3, claimWrites, answer, http.StatusInternalServerError),
	onRequests("500-list", 2, lists, answer, http.StatusInternalServerError),
	onRequests("503-write", 3, anyWrite, answer, http.StatusServiceUnavailable),
	onRequests("504-binding-done", 6, bindings, answerAfter, http.StatusGatewayTimeout),
	onRequests("504-claim-done", 6, claimStatus, answerAfter, http.StatusGatewayTimeout),
	onRequests("504-write", 3, anyWrite, answer, http.StatusGatewayTimeout),
	onRequests("delayed-binding", 4, bindings, delay, 0),
	onRequests("delayed-claim-status", 4, claimStatus, delay, 0),
	onRequests("delayed-write", 3, anyWrite, delay, 0),
	onRequests("410-watch", 2, watchesOf, answer, http.StatusGone),
	onRequests("lease-refused", 2, leaseWrites, answer, http.StatusInternalServerError),
}
