// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import "unicode/utf8"

const (
	// noteLimit is the maximum length of an event's note in the API, in bytes.
	noteLimit = 1024
	ellipsis  = " ..."
)

// Note returns the sentence as the note of an event. It cuts a sentence that the API would
// reject as too long.
func Note(sentence string) string {
	if len(sentence) <= noteLimit {
		return sentence
	}
	return Cut(sentence, noteLimit-len(ellipsis))
}

// Cut returns at most the first end bytes of a longer sentence, then an ellipsis. It cuts
// between characters.
func Cut(sentence string, end int) string {
	for end > 0 && !utf8.RuneStart(sentence[end]) {
		end--
	}
	return sentence[:end] + ellipsis
}
