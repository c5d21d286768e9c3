// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
)

// Invariant is the number of an invariant in the design.
type Invariant string

// The invariants that can be judged by reading the API alone.
const (
	// AllOrNothing says that no gang stays bound below its minimum.
	AllOrNothing Invariant = "I1"
	// NothingTwice says that devices and nodes are not given away twice and that
	// nothing is placed where a stock filter would refuse it.
	NothingTwice Invariant = "I2"
	// HoldsNothing says that what cannot fit holds neither node nor device.
	HoldsNothing Invariant = "I4"
)

// evidenceLimit keeps a violation readable: a gang may have thousands of members.
const evidenceLimit = 12

// Violation is one broken invariant.
type Violation struct {
	// Invariant is the one that broke.
	Invariant Invariant
	// At is when the checker was sure of it.
	At time.Time
	// Sentence says what is wrong, with names and numbers.
	Sentence string
	// Evidence lists the objects behind it, with the times they were seen.
	Evidence []string
}

// String is the sentence with its evidence, one line each.
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

// formatTime is how this package writes a time: tests live for minutes, not days.
func formatTime(t time.Time) string {
	return t.Format("15:04:05.000")
}

// elapsed rounds a duration to what a reader needs.
func elapsed(d time.Duration) time.Duration {
	return d.Round(100 * time.Millisecond)
}

func podName(pod *v1.Pod) string {
	return fmt.Sprintf("pod %s/%s", pod.Namespace, pod.Name)
}

// joinWords lists words in a sentence.
func joinWords(words []string) string {
	return strings.Join(words, ", ")
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
