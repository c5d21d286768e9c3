// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	sigsyaml "sigs.k8s.io/yaml"
)

// readmeWords is the maximum number of words in README.md.
const readmeWords = 700

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestReadmeIsShort(t *testing.T) {
	if words := len(strings.Fields(readFile(t, "README.md"))); words >= readmeWords {
		t.Errorf("README.md has %d words, want less than %d", words, readmeWords)
	}
}

// TestReadmeExampleIsAGang decodes the YAML of README.md strictly.
func TestReadmeExampleIsAGang(t *testing.T) {
	_, after, _ := strings.Cut(readFile(t, "README.md"), "```yaml\n")
	text, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatal("README.md has no YAML")
	}
	var job batchv1.Job
	if err := sigsyaml.UnmarshalStrict([]byte(text), &job); err != nil {
		t.Fatal(err)
	}
	if job.Labels["dovetail.dev/gang"] != "true" || job.Spec.Template.Spec.SchedulerName != "dovetail" {
		t.Errorf("the job of README.md is no gang of Dovetail:\n%s", text)
	}
}

// TestReadmeQuotesASentence requires the sentence of README.md in the file of all
// sentences. The kind of the gang and the name of the domain may differ.
func TestReadmeQuotesASentence(t *testing.T) {
	quote := regexp.MustCompile(`gang job ml/train: [^\n]*`).FindString(readFile(t, "README.md"))
	if quote == "" {
		t.Fatal("README.md quotes no sentence")
	}
	general := func(text string) string {
		text = regexp.MustCompile(`gang \w+ `).ReplaceAllString(text, "gang KIND ")
		return regexp.MustCompile(`leaf [\w/-]+`).ReplaceAllString(text, "leaf NAME")
	}
	want := general(strings.TrimSuffix(quote, ".")) + "\n"
	if !strings.Contains(general(readFile(t, "pkg/plugins/testdata/sentences.txt")), want) {
		t.Errorf("no sentence of sentences.txt is %q", want)
	}
}
