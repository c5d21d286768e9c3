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

// figure is a ratio and its origin.
type figure struct {
	ratios.Ratio
	date, commit string
	cores        int
}

// read returns the figures of all JSON files at or below a directory, by name.
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
				return fmt.Errorf("%s: another file has figure %s, too", path, f.Name)
			}
			all[f.Name] = f
		}
		return nil
	})
	return all, err
}

// parse reads a report. It returns no figures for other JSON files.
func parse(text []byte) ([]figure, error) {
	var report ratios.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, err
	}
	var list []figure
	for i, ratio := range report.Ratios {
		if ratio.Name == "" {
			return nil, fmt.Errorf("figure %d has no name", i+1)
		}
		ratio.Runs = max(1, ratio.Runs)
		list = append(list, figure{ratio, report.Taken.UTC().Format(time.DateOnly), report.Commit, report.Cores})
	}
	return list, nil
}
