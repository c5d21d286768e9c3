// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package ratios

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Ratio is a figure and its spread.
type Ratio struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Spread is the standard deviation of a single run, or 0 if there was only one run.
	Spread float64 `json:"spread"`
	Runs   int     `json:"runs"`
}

// Report holds the fields that every benchmark's file has, in addition to fields of its
// own.
type Report struct {
	Taken  time.Time `json:"taken"`
	Commit string    `json:"commit"`
	Cores  int       `json:"cores"`
	Ratios []Ratio   `json:"ratios"`
}

const (
	// dirty is the suffix of the commit in a checkout with changes.
	dirty = "-dirty"
	// unknown is the commit of code outside a repository.
	unknown = "unknown"
)

// Commit returns the commit of the working directory.
func Commit(ctx context.Context) string {
	text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty="+dirty).Output()
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(text))
}

// Named reports whether the name is a commit without local changes.
func Named(commit string) bool {
	return commit != "" && commit != unknown && !strings.HasSuffix(commit, dirty)
}

// Write writes a report, or a value with its fields, to a file.
func Write(file string, report any) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
