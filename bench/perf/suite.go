// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// configFile is what upstream calls the workloads of a directory.
const configFile = "performance-config.yaml"

// Case is one workload of upstream's.
type Case struct {
	// Dir is where upstream keeps it; its paths are relative to that.
	Dir string
	// Suite is the directory's name below scheduler_perf, Test and Workload the names in its file.
	Suite, Test, Workload string
	// Labels are those of the test and the workload together.
	Labels []string
	// Allocators are the implementations of the DRA allocator that upstream tests the directory with; none means the
	// one that the feature gates lead to.
	Allocators []string
}

// Name tells the workload from all others.
func (c Case) Name() string { return c.Suite + "/" + c.Test + "/" + c.Workload }

// Has says whether the workload carries a label.
func (c Case) Has(label string) bool { return slices.Contains(c.Labels, label) }

// Cases reads the workloads of a directory below scheduler_perf and of its subdirectories, in the order of directories
// and, in each, of its file. Root is the directory of module k8s.io/kubernetes.
func Cases(root, under string) ([]Case, error) {
	base := filepath.Join(root, "test", "integration", "scheduler_perf")
	var cases []Case
	err := filepath.WalkDir(filepath.Join(base, under), func(name string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(name) != configFile {
			return err
		}
		suite, err := filepath.Rel(base, filepath.Dir(name))
		if err != nil {
			return err
		}
		found, err := readSuite(filepath.Dir(name), filepath.ToSlash(suite))
		cases = append(cases, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading upstream's workloads: %w", err)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s holds no %s", filepath.Join(base, under), configFile)
	}
	return cases, nil
}

func readSuite(dir, suite string) ([]Case, error) {
	var tests []struct {
		Name      string
		Labels    []string
		Workloads []struct {
			Name   string
			Labels []string
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(text, &tests); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, configFile), err)
	}
	allocators, err := allocatorsOf(dir)
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, test := range tests {
		for _, workload := range test.Workloads {
			cases = append(cases, Case{
				Dir: dir, Suite: suite, Test: test.Name, Workload: workload.Name,
				Labels: slices.Concat(test.Labels, workload.Labels), Allocators: allocators,
			})
		}
	}
	return cases, nil
}

var allocatorName = regexp.MustCompile(`"(stable|incubating|experimental)"`)

// allocatorsOf finds the allocators that upstream's own test of a directory names.
func allocatorsOf(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, found := range allocatorName.FindAllSubmatch(text, -1) {
			names = append(names, string(found[1]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// fields is a YAML object of which few fields are known here; the others pass through as they are.
type fields map[string]any

// only is upstream's configuration of the workload alone, without its threshold, as JSON, which is YAML. The function
// gets the path of upstream's configuration of the scheduler, "" if there is none, and returns that of the one to use, ""
// for upstream's.
func (c Case) only(schedulerConfig func(stock string) (string, error)) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, configFile))
	if err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber() // 5000 must not come out as 5e+03
	var tests []fields
	if err := decoder.Decode(&tests); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	at := slices.IndexFunc(tests, func(test fields) bool { return test["name"] == c.Test })
	if at < 0 {
		return nil, fmt.Errorf("%s holds no %s", configFile, c.Test)
	}
	test := tests[at]
	stock, _ := test["schedulerConfigPath"].(string)
	if stock != "" {
		stock = filepath.Join(c.Dir, stock)
	}
	ours, err := schedulerConfig(stock)
	if err != nil {
		return nil, err
	}
	if ours != "" {
		test["schedulerConfigPath"] = ours
	}
	if err := c.keepWorkload(test); err != nil {
		return nil, err
	}
	return json.Marshal([]fields{test})
}

func (c Case) keepWorkload(test fields) error {
	workloads, _ := test["workloads"].([]any)
	for _, one := range workloads {
		workload, _ := one.(map[string]any)
		if workload["name"] == c.Workload {
			delete(workload, "threshold")
			test["workloads"] = []any{workload}
			return nil
		}
	}
	return fmt.Errorf("%s of %s holds no %s", c.Test, configFile, c.Workload)
}

// fileName is the name without slashes.
func (c Case) fileName() string { return strings.ReplaceAll(c.Name(), "/", "_") }
