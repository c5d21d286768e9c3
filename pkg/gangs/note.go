// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

// noteLimit is the longest note that the API takes in an event.
const noteLimit = 1024

// Note is a sentence about a gang as the note of an event: its end is left out if the
// API would refuse the whole.
func Note(sentence string) string {
	if len(sentence) <= noteLimit {
		return sentence
	}
	return sentence[:noteLimit-4] + " ..."
}
