// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// figure is a ratio, and how it spread over so many runs.
type figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Spread float64 `json:"spread"`
	Runs   int     `json:"runs"`
}

// comparison is what bench/perf writes of one workload: what each scheduler did,
// round by round.
type comparison struct {
	Workload string             `json:"workload"`
	Rounds   map[string][]round `json:"rounds"`
}

type round struct {
	PodsPerSecond float64 `json:"podsPerSecond"`
	// Verdict is how long it took to say that there is no room, in milliseconds.
	Verdict float64 `json:"verdict"`
}

// subject is the scheduler of a comparison that the others are compared with.
const subject = "dovetail"

// read returns the figures of all JSON files in a directory and below, by name.
func read(dir string) (map[string]figure, error) {
	all := map[string]figure{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found, err := parse(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, f := range found {
			if _, twice := all[f.Name]; twice {
				return fmt.Errorf("%s: figure %s stands in another file, too", path, f.Name)
			}
			all[f.Name] = f
		}
		return nil
	})
	return all, err
}

// parse reads either form. A file of another kind has no figures.
func parse(text []byte) ([]figure, error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		var list []figure
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, err
		}
		for i := range list {
			if list[i].Name == "" {
				return nil, fmt.Errorf("figure %d has no name", i+1)
			}
			list[i].Runs = max(1, list[i].Runs)
		}
		return list, nil
	}
	var c comparison
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	return c.figures(), nil
}

// figures are the ratios of the subject's rate to each other scheduler's.
func (c comparison) figures() []figure {
	ours := c.rates(subject)
	var list []figure
	for other := range c.Rounds {
		theirs := c.rates(other)
		if other == subject || len(ours) == 0 || len(theirs) == 0 {
			continue
		}
		f := figure{
			Name:  fmt.Sprintf("perf/%s/%s-over-%s", c.Workload, subject, other),
			Value: median(ours) / median(theirs), Runs: min(len(ours), len(theirs)),
		}
		// Two measurements that are divided spread together.
		f.Spread = f.Value * math.Hypot(deviation(ours), deviation(theirs))
		list = append(list, f)
	}
	return list
}

// rates are pods bound in a second or, where none can be, verdicts in a second.
func (c comparison) rates(of string) []float64 {
	bound := false
	for _, rounds := range c.Rounds {
		bound = bound || slices.ContainsFunc(rounds, func(r round) bool { return r.PodsPerSecond > 0 })
	}
	var rates []float64
	for _, r := range c.Rounds[of] {
		switch {
		case bound && r.PodsPerSecond > 0:
			rates = append(rates, r.PodsPerSecond)
		case !bound && r.Verdict > 0:
			rates = append(rates, 1000/r.Verdict)
		}
	}
	return rates
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// deviation is the standard deviation over the mean.
func deviation(values []float64) float64 {
	if len(values) < 2 {
		return 0
	}
	var mean, sum float64
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum/float64(len(values)-1)) / mean
}
