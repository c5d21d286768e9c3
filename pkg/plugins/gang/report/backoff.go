// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"time"
)

// The report on a waiting gang is a sentence. Its numbers change with every pod that
// comes or goes, and writing it costs a request per member. A changed sentence is
// therefore written only after a pause. The pause doubles from write to write and grows
// with the gang: from 10 seconds to 2 minutes for 500 members, from 1 to 10 seconds for 5
// members. A member gets an event only if the words change. Events on the gang's owner
// include changed numbers.
const (
	pauseOfMember    = 20 * time.Millisecond
	maxPauseOfMember = 240 * time.Millisecond
	leastPause       = time.Second
	leastMaxPause    = 10 * time.Second
)

// firstPause returns the pause after the first write of a sentence to this number of
// pods.
func firstPause(pods int) time.Duration {
	return max(leastPause, time.Duration(pods)*pauseOfMember)
}

// maxDeferral is the longest time for which the reporter leaves it to the scheduler to
// write a refusal. Members outside the queue have no reason during that time, because only
// the reporter writes it to them.
const maxDeferral = 10 * time.Second

// deferToScheduler returns for how long the reporter does not write the first refusal of
// a gang to its waiting members; pods is their number. Queued members get the refusal in
// their own cycles. An earlier write would cost most of them another request and another
// event.
func deferToScheduler(pods int) time.Duration {
	return min(firstPause(pods), maxDeferral)
}

// messageBackoff has the last message written about a gang, and the time of the next one.
type messageBackoff struct {
	sentence string
	// next is the earliest time for another sentence; pause is the wait from the last one
	// to next.
	next  time.Time
	pause time.Duration
}

// note records that the sentence was written to this number of pods.
func (b *messageBackoff) note(sentence string, pods int, at time.Time) {
	most := max(leastMaxPause, time.Duration(pods)*maxPauseOfMember)
	b.sentence, b.pause = sentence, min(max(firstPause(pods), 2*b.pause), most)
	b.next = at.Add(b.pause)
}

// sameWords reports whether an earlier message has the sentence, apart from numbers. It
// ignores the details after a semicolon, some of which come and go with the numbers.
func sameWords(before, sentence string) bool {
	head, _, _ := strings.Cut(sentence, ";")
	words := func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}
	return strings.Contains(strings.Map(words, before), strings.Map(words, head))
}
