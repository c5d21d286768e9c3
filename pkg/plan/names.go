// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "strings"

// natural compares names in natural order: digit runs are compared by value ("n2" before
// "n10"). Names that differ only in leading zeros are compared as strings, so natural
// returns zero only for equal names.
func natural(a, b string) int {
	x, y := cutCommonPrefix(a, b)
	for x != "" && y != "" {
		dx, dy := digits(x), digits(y)
		if dx > 0 && dy > 0 {
			if c := compareDigits(x[:dx], y[:dy]); c != 0 {
				return c
			}
			x, y = x[dx:], y[dy:]
			continue
		}
		if x[0] != y[0] {
			if x[0] < y[0] {
				return -1
			}
			return 1
		}
		x, y = x[1:], y[1:]
	}
	switch {
	case x != "":
		return 1
	case y != "":
		return -1
	}
	return strings.Compare(a, b)
}

// cutCommonPrefix removes the common prefix of two names. It never splits a digit run.
func cutCommonPrefix(a, b string) (x, y string) {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	for i > 0 && a[i-1] >= '0' && a[i-1] <= '9' {
		i--
	}
	return a[i:], b[i:]
}

// digits returns the length of the digit run at the start of s.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// compareDigits compares two digit runs by value, of any length.
func compareDigits(a, b string) int {
	if len(a) == len(b) {
		return strings.Compare(a, b)
	}
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		if len(a) < len(b) {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}
