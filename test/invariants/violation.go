// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
)

// Invariant is the number of an invariant in Dovetail's design.
type Invariant string

// The invariants that the checker can judge by API objects alone.
const (
	// AllOrNothing requires that no gang stays bound below its minimum.
	AllOrNothing Invariant = "I1"
	// NothingTwice requires that no device or node capacity is allocated twice, and
	// that every binding passes the stock filters.
	NothingTwice Invariant = "I2"
	// HoldsNothing requires that waiting pods hold neither nodes nor devices.
	HoldsNothing Invariant = "I4"
	// NothingInVain requires that a gang for which pods are evicted is placed afterwards.
	NothingInVain Invariant = "I8"
	// WholeOrMinimum requires that a gang is evicted whole or keeps its minimum, has a lower
	// priority than the preemptor, and has run for its minimum time.
	WholeOrMinimum Invariant = "I9"
	// OneClearing requires that a gang has one clearing (a set of evictions for it) at a time,
	// and that nobody is evicted for it twice.
	OneClearing Invariant = "I10"
	// RoomIsKept requires that the room of evicted pods is given to no pod of lower or equal
	// priority before the gang for which they were evicted is placed.
	RoomIsKept Invariant = "I11"
)

// evidenceLimit is the maximum number of printed lines of evidence: a gang may have
// thousands of members.
const evidenceLimit = 12

// Violation is one broken invariant.
type Violation struct {
	// Invariant is the broken invariant.
	Invariant Invariant
	// At is the time of the report.
	At time.Time
	// Sentence describes the violation, with names and numbers.
	Sentence string
	// Evidence lists the objects involved, with the times of their events.
	Evidence []string
}

// String returns the sentence and its evidence, one line each.
func (v Violation) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s broken at %s: %s", v.Invariant, formatTime(v.At), v.Sentence)
	for i, line := range v.Evidence {
		if i == evidenceLimit {
			fmt.Fprintf(&text, "\n    and %d more", len(v.Evidence)-i)
			break
		}
		text.WriteString("\n    " + line)
	}
	return text.String()
}

// formatTime omits the date: tests last minutes, not days.
func formatTime(t time.Time) string {
	return t.Format("15:04:05.000")
}

// elapsed rounds a duration for messages.
func elapsed(d time.Duration) time.Duration {
	return d.Round(100 * time.Millisecond)
}

func podName(pod *v1.Pod) string {
	return fmt.Sprintf("pod %s/%s", pod.Namespace, pod.Name)
}

// joinWords separates words by commas.
func joinWords(words []string) string {
	return strings.Join(words, ", ")
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
