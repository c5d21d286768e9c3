// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// reasonMetadata is the reason of events about labels and annotations without effect.
const reasonMetadata = "InvalidMetadata"

// maxNoted limits the mistakes that are remembered. After that many they are forgotten, and
// each may get another event.
const maxNoted = 1000

// notedMistakes remembers the mistakes that have an event. A mistake in a pod template is
// in each pod of the gang, and one event is enough.
type notedMistakes struct {
	mu   sync.Mutex
	seen map[string]bool
}

// first reports whether the subject (a pod, or the pods or declaration of a gang) has no event
// yet, and remembers that it has one.
func (n *notedMistakes) first(subject string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[subject] {
		return false
	}
	if n.seen == nil || len(n.seen) >= maxNoted {
		n.seen = map[string]bool{}
	}
	n.seen[subject] = true
	return true
}

// Metadata writes an event on a pod whose labels or annotations have a mistake. Of the pods
// of a gang, only the first gets an event. key is zero for a pod without a gang. Metadata does
// nothing before this replica leads.
func (r *Reporter) Metadata(key gangs.Key, pod *v1.Pod) {
	mistake := gangs.MetadataMistake(pod)
	if mistake == "" || !r.leads.Load() {
		return
	}
	subject := "pod " + string(pod.UID)
	if !key.IsZero() {
		subject = "pods of " + key.String()
	}
	if r.noted.first(subject) {
		r.handle.EventRecorder().Eventf(pod, nil, v1.EventTypeWarning, reasonMetadata, "Scheduling", "%s", gangs.Note(mistake))
	}
}

// onDeclaration writes one event on the object that declares a gang if its annotations have
// a mistake.
func (r *Reporter) onDeclaration(gang *gangs.Gang) {
	if mistake := gang.MetadataMistake(); mistake != "" && r.noted.first(gang.Key.String()) {
		r.onOwner(gang.Owner, v1.EventTypeWarning, reasonMetadata, mistake)
	}
}

// withMistake appends a mistake to a sentence that does not have it.
func withMistake(sentence, mistake string) string {
	if mistake == "" || strings.Contains(sentence, mistake) {
		return sentence
	}
	return sentence + "; " + mistake
}
