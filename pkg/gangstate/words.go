// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"strconv"
	"strings"
)

// stay says that the running members of a gang keep their nodes.
func stay(running int) string {
	return counted(running, "its one member that runs stays where it is", "the %d members that run stay where they are")
}

// counted returns the words for a number: the singular for 1, otherwise the plural with the
// number in place of %d.
func counted(n int, singular, plural string) string {
	if n == 1 {
		return singular
	}
	return strings.Replace(plural, "%d", strconv.Itoa(n), 1)
}
