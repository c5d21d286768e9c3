// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// checkout makes a repository with two commits on branch main and a third on another branch.
func checkout(t *testing.T) (dir string, first, second, beside string) {
	t.Helper()
	dir = t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		args = append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"}, args...)
		out, err := exec.Command("git", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	commit := func() string {
		git("commit", "--quiet", "--allow-empty", "-m", "x")
		return git("rev-parse", "--short=12", "HEAD")
	}
	git("init", "--quiet", "--initial-branch=main")
	first, second = commit(), commit()
	git("checkout", "--quiet", "-b", "beside")
	return dir, first, second, commit()
}

// at returns a file with one figure, measured at a commit.
func at(commit, name string, runs int) string {
	return fmt.Sprintf(`{"taken": "2026-11-28T23:00:00Z", "commit": %q, "cores": 2, "ratios": [{"name": %q, "value": 40, "spread": 1, "runs": %d}]}`, commit, name, runs)
}

// Recorded figures must be in their ranges and have the commit at which they were measured.
// Other ranges must not change.
func TestRecord(t *testing.T) {
	repo, first, second, _ := checkout(t)
	file := filepath.Join(written(t, map[string]string{"ranges.yaml": someRanges}), "ranges.yaml")
	dir := written(t, map[string]string{
		"a.json": at(first, "perf/full/dovetail-over-stock", 3), "b.json": at(second, "perf/b/dovetail-over-stock", 5),
		"c.json": at(second, "perf/c/dovetail-over-oracle", 5), "d.json": at("nowhere", "quality/a", 4),
	})
	o := options{dir: dir, file: file, record: "perf/", command: "make bench", repo: repo, branch: "main"}
	if err := o.run(&strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	after, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	found, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if v := after.check(found); v.inRange != 3 || len(v.outOfRange) != 1 || v.absent != 1 || len(v.unknown) != 0 {
		t.Errorf("after recording: %+v", v)
	}
	got := map[string][]string{}
	for _, run := range after.Runs {
		key := strings.Join([]string{run.Command, run.Date, run.Commit}, " ")
		for name := range run.Figures {
			got[key] = append(got[key], name)
		}
	}
	less := func(a, b string) bool { return a < b }
	want := map[string][]string{
		"make bench 2026-11-28 " + first:    {"perf/full/dovetail-over-stock"},
		"make bench 2026-11-28 " + second:   {"perf/b/dovetail-over-stock", "perf/c/dovetail-over-oracle"},
		"make bench-quality 2026-11-27 abc": {"quality/a", "quality/gone"},
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(less)); diff != "" {
		t.Errorf("runs (-want,+got):\n%s", diff)
	}
}

// Figures that cannot be measured again must not be recorded.
func TestRecordRefuses(t *testing.T) {
	repo, first, _, beside := checkout(t)
	for name, tc := range map[string]struct {
		file, command string
	}{
		"no command":                       {at(first, "perf/a", 3), ""},
		"no such figure":                   {at(first, "quality/a", 3), "make bench"},
		"changes that no commit has":       {at(first+"-dirty", "perf/a", 3), "make bench"},
		"no commit":                        {at("", "perf/a", 3), "make bench"},
		"a checkout that is no repository": {at("unknown", "perf/a", 3), "make bench"},
		"a commit that does not exist":     {at("43670b6", "perf/a", 3), "make bench"},
		"a commit of another branch":       {at(beside, "perf/a", 3), "make bench"},
		"too few rounds":                   {at(first, "perf/a", 2), "make bench"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(written(t, map[string]string{"ranges.yaml": someRanges}), "ranges.yaml")
			o := options{dir: written(t, map[string]string{"a.json": tc.file}), file: file, record: "perf/", command: tc.command, repo: repo, branch: "main"}
			if err := o.run(&strings.Builder{}); err == nil {
				t.Error("no error")
			}
			if diff := cmp.Diff(someRanges, contents(t, file)); diff != "" {
				t.Errorf("the ranges changed (-want,+got):\n%s", diff)
			}
		})
	}
}
