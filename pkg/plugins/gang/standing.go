// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"errors"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// standing is what users are told of a gang.
type standing struct {
	// sentence says why the gang waits; "" if it does not.
	sentence string
	gang     gangs.Gang
	// group is the PodGroup of scheduling.k8s.io that is to say it too, nil for none.
	group *schedulingv1beta1.PodGroup
	// pods are the members that wait.
	pods []*v1.Pod
	// refusedSince is when they were refused for the first time, zero if they were not.
	refusedSince time.Time
}

// standing returns what there is to say about a gang now.
func (b *book) standing(key gangs.Key) standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil {
		return standing{}
	}
	g, v, err := b.look(rec)
	s := standing{gang: g, pods: rec.waiting()}
	if len(s.pods) == 0 {
		return s // nobody waits, or not for us
	}
	var lookup *gangs.LookupError
	switch {
	case errors.As(err, &lookup):
		s.sentence = "waiting for " + key.String() + ", which " + lookupReason(lookup)
	case err != nil:
		s.sentence = err.Error()
	case !rec.admits(v):
		s.sentence = cmp.Or(v.Problem, rec.healing(), v.Waiting)
	case rec.verdict != nil:
		s.sentence, s.refusedSince = rec.verdict.message, rec.refusedSince
	}
	return s
}

// lookupReason is the predicate of a lookup's sentence; the subject is said already.
func lookupReason(err *gangs.LookupError) string {
	return strings.TrimPrefix(err.Error(), err.Key.String()+" ")
}
