// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"testing"
	"time"
)

// The pause between messages doubles up to a maximum. Larger gangs have longer pauses.
func TestMessageBackoff(t *testing.T) {
	for _, tc := range []struct {
		pods int
		want []time.Duration
	}{
		{5, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second}},
		{500, []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 2 * time.Minute, 2 * time.Minute}},
	} {
		var last messageBackoff
		at := time.Unix(1000, 0)
		for i, want := range tc.want {
			last.note("sentence", tc.pods, at)
			if got := last.next.Sub(at); got != want {
				t.Errorf("a gang of %d written about %d times: pause %v, want %v", tc.pods, i+1, got, want)
			}
			at = last.next
		}
	}
}

func TestSameWords(t *testing.T) {
	const before = "0/80 nodes are available: gang podgroup ml/a: 80 of 100 members fit the fabric. preemption: 0/80 nodes are available."
	for sentence, same := range map[string]bool{
		"gang podgroup ml/a: 9 of 100 members fit the fabric":                                 true,
		"gang podgroup ml/a: 79 of 100 members fit the fabric; excluded 1 node: cpu 1":        true,
		"gang podgroup ml/a: 80 of 100 members fit leaf s1/l1":                                false,
		"gang podgroup ml/a: 80 of 100 members fit leaf s1/l1; would fit with 1 more":         false,
		"waiting for 20 of 100 members of podgroup ml/a: 20 of role workers do not exist yet": false,
	} {
		if got := sameWords(before, sentence); got != same {
			t.Errorf("%q has the same words as before: %v, want %v", sentence, got, same)
		}
	}
}
