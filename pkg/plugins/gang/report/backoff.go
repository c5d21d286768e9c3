// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"time"
)

// A sentence has numbers that change with every pod that comes or goes in the cluster, and
// writing it costs a request for each member. So it is written again after a pause that
// doubles and that is longer for larger gangs: for 500 members after 10 seconds and in the
// end every two minutes, for 5 after a second and in the end every ten seconds. A member
// gets an event only when the words change; events of the gang's owner carry the numbers.
const (
	pauseOfMember    = 20 * time.Millisecond
	maxPauseOfMember = 240 * time.Millisecond
	leastPause       = time.Second
	leastMaxPause    = 10 * time.Second
)

// firstPause is the pause after a sentence on so many pods was written once.
func firstPause(pods int) time.Duration {
	return max(leastPause, time.Duration(pods)*pauseOfMember)
}

// maxDeferral bounds deferToScheduler, for members that are kept out of the queue and get
// their sentence from the reporter alone.
const maxDeferral = 10 * time.Second

// deferToScheduler is for how long the scheduler is left to write a first refusal on so many
// members. They are in the queue, and each gets it in a cycle of its own: writing the same
// in that time would cost most of them another request and another event.
func deferToScheduler(pods int) time.Duration {
	return min(firstPause(pods), maxDeferral)
}

// messageBackoff is what was last written about a gang.
type messageBackoff struct {
	sentence string
	// next is when another sentence may be written; pause is how long that is after this one.
	next  time.Time
	pause time.Duration
}

// note records that the sentence is written on so many pods.
func (b *messageBackoff) note(sentence string, pods int, at time.Time) {
	most := max(leastMaxPause, time.Duration(pods)*maxPauseOfMember)
	b.sentence, b.pause = sentence, min(max(firstPause(pods), 2*b.pause), most)
	b.next = at.Add(b.pause)
}

// sameWords reports that the sentence stands in an earlier message, with the same numbers or
// others. Its details, behind a semicolon, do not matter: some come and go with the numbers.
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
