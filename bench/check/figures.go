// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dovetail-dev/dovetail/bench/ratios"
)

// figure is a ratio, and what it came from.
type figure struct {
	ratios.Ratio
	date, commit string
	cores        int
}

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

// parse reads a report. A file of another kind has no figures.
func parse(text []byte) ([]figure, error) {
	var report ratios.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, err
	}
	var list []figure
	for i, one := range report.Ratios {
		if one.Name == "" {
			return nil, fmt.Errorf("figure %d has no name", i+1)
		}
		one.Runs = max(1, one.Runs)
		list = append(list, figure{one, report.Taken.UTC().Format(time.DateOnly), report.Commit, report.Cores})
	}
	return list, nil
}
