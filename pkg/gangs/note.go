// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import "unicode/utf8"

const (
	// noteLimit is the longest note that the API takes in an event, in bytes.
	noteLimit = 1024
	ellipsis  = " ..."
)

// Note is a sentence about a gang as the note of an event: its end is left out if the
// API would refuse the whole.
func Note(sentence string) string {
	if len(sentence) <= noteLimit {
		return sentence
	}
	return Cut(sentence, noteLimit-len(ellipsis))
}

// Cut leaves out what a sentence, which is longer, has after so many bytes, and reports that
// there is more. It cuts between characters.
func Cut(sentence string, end int) string {
	for end > 0 && !utf8.RuneStart(sentence[end]) {
		end--
	}
	return sentence[:end] + ellipsis
}
