// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// mayGrow is the share by which the median of the last part of a soak may exceed the median
// of the part before, slack the number that may be added to it: small numbers vary more.
const mayGrow = 0.1

var slack = map[string]float64{"MB": 8, "goroutines": 40}

// entrySlack is the slack of all numbers of entries. Tables with a limit, such as the
// planner's columns, vary below twice their size.
const entrySlack = 48

// growth compares the two halves of the samples after the first sixth. It returns a sentence
// about each number whose median grew.
func growth(samples []sample) []string {
	rest := samples[len(samples)/6:]
	if len(rest) < 4 {
		return nil
	}
	before, after := rest[:len(rest)/2], rest[len(rest)/2:]
	var wrong []string
	check := func(what string, slack float64, of func(sample) float64) {
		was, is := median(before, of), median(after, of)
		if is > was*(1+mayGrow)+slack {
			wrong = append(wrong, fmt.Sprintf("%s grew from %.0f to %.0f (medians of the two halves)", what, was, is))
		}
	}
	check("MB", slack["MB"], func(s sample) float64 { return s.megabytes })
	check("goroutines", slack["goroutines"], func(s sample) float64 { return s.goroutines })
	for _, kind := range slices.Sorted(maps.Keys(rest[0].entries)) {
		check(kind, entrySlack, func(s sample) float64 { return s.entries[kind] })
	}
	return wrong
}

func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// A number that grows by a gang's entry for each sample is found; one that only varies is
// not.
func TestGrowth(t *testing.T) {
	var flat, grows []sample
	for i := range 60 {
		flat = append(flat, sample{megabytes: 200 + float64(i%7), goroutines: 300, entries: map[string]float64{"gangs": 24}})
		grows = append(grows, sample{megabytes: 200, goroutines: 300, entries: map[string]float64{"gangs": float64(24 + 4*i)}})
	}
	if wrong := growth(flat); len(wrong) > 0 {
		t.Errorf("flat numbers: %v", wrong)
	}
	if wrong := growth(grows); len(wrong) != 1 {
		t.Errorf("gangs that stay: %v, want one sentence", wrong)
	}
}
