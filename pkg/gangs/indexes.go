// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// indexRange is the completion indexes from first to last.
type indexRange struct {
	first, last int64
}

// parseIndexes parses a list of completion indexes in a Job's status, such as "1,3-5". It
// skips entries that are not numbers, as the Job controller does.
func parseIndexes(list string) []indexRange {
	var ranges []indexRange
	for _, text := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(text, "-")
		first, err := strconv.ParseInt(from, 10, 32)
		if err != nil {
			continue
		}
		last := first
		if isRange {
			if last, err = strconv.ParseInt(to, 10, 32); err != nil {
				continue
			}
		}
		ranges = append(ranges, indexRange{first, last})
	}
	return ranges
}

// countIndexes counts the indexes below a limit that are in any of the ranges, each once.
func countIndexes(ranges []indexRange, limit int64) int64 {
	ranges = slices.SortedFunc(slices.Values(ranges), func(a, b indexRange) int { return cmp.Compare(a.first, b.first) })
	count, next := int64(0), int64(0)
	for _, r := range ranges {
		first, end := max(r.first, next), min(r.last+1, limit)
		if first < end {
			count, next = count+end-first, end
		}
	}
	return count
}
