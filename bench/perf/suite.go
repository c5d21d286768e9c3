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

// configFile is the name of upstream's workload file in a directory.
const configFile = "performance-config.yaml"

// Case is one workload of upstream or Dovetail.
type Case struct {
	// Dir is the directory of the workload's file; paths in the file are relative to Dir.
	Dir string
	// Suite is the directory below scheduler_perf, or "dovetail" for Dovetail's own
	// workloads. Test and Workload are the names in the file.
	Suite, Test, Workload string
	// Labels are the labels of the test and of the workload.
	Labels []string
	// Allocators are the DRA allocators with which upstream tests the directory. If it is
	// empty, the feature gates choose.
	Allocators []string
	// Settles is true if the workload waits for all its pods and deletes none.
	Settles bool
}

// Name returns the unique name of the workload.
func (c Case) Name() string { return c.Suite + "/" + c.Test + "/" + c.Workload }

// Has reports whether the workload has a label.
func (c Case) Has(label string) bool { return slices.Contains(c.Labels, label) }

// Cases reads the workloads of a directory below scheduler_perf and of its subdirectories.
// They are in the order of the directories and, in each directory, of its file. root is the
// directory of module k8s.io/kubernetes.
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
		Name             string
		Labels           []string
		WorkloadTemplate []operation
		Workloads        []struct {
			Name   string
			Labels []string
			Params map[string]any
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
				Labels: slices.Concat(test.Labels, workload.Labels), Allocators: allocators, Settles: settles(test.WorkloadTemplate, workload.Params),
			})
		}
	}
	return cases, nil
}

// operation has the fields of a workload's operation that this package reads.
type operation struct {
	Opcode               string
	SkipWaitToCompletion bool
	SteadyState          bool
	SteadyStateParam     string
	StageRequirement     string
	CreatePodsOp         *operation
}

// settles reports whether a workload with these operations ends with every pod bound.
func settles(operations []operation, params map[string]any) bool {
	waiting := false
	for _, op := range operations {
		if op.CreatePodsOp != nil {
			op = *op.CreatePodsOp
		}
		switch {
		case op.Opcode == "churn", op.Opcode == "deletePods", op.SteadyState, op.SteadyStateParam != "" && params[op.SteadyStateParam[1:]] != false:
			return false
		case op.SkipWaitToCompletion:
			waiting = true
		case op.Opcode == "barrier" && op.StageRequirement != "Attempted":
			waiting = false
		}
	}
	return !waiting
}

var allocatorName = regexp.MustCompile(`"(stable|incubating|experimental)"`)

// allocatorsOf returns the allocators that upstream's own test of a directory names.
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

// fields is a YAML object. This package reads few of its fields and keeps the others.
type fields map[string]any

// only returns the configuration of this workload alone, as JSON, which is valid YAML.
// The configuration has no threshold. only calls schedulerConfig with the path of the
// test's scheduler configuration, or "", and the feature gates. schedulerConfig returns
// the path of the scheduler configuration to use, or "" to keep the test's. only calls
// alter to change the test.
func (c Case) only(schedulerConfig func(stock string, gates map[string]bool) (string, error), alter func(test, workload fields) error) ([]byte, error) {
	test, err := c.read()
	if err != nil {
		return nil, err
	}
	workload, err := c.keepWorkload(test)
	if err != nil {
		return nil, err
	}
	stock, _ := test["schedulerConfigPath"].(string)
	if stock != "" {
		stock = filepath.Join(c.Dir, stock)
	}
	ours, err := schedulerConfig(stock, gates(test, workload))
	if err != nil {
		return nil, err
	}
	if ours != "" {
		test["schedulerConfigPath"] = ours
	}
	if err := alter(test, workload); err != nil {
		return nil, err
	}
	return json.Marshal([]fields{test})
}

// read returns the workload's test from its file.
func (c Case) read() (fields, error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, configFile))
	if err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber() // without UseNumber, 5000 would become 5e+03
	var tests []fields
	if err := decoder.Decode(&tests); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	at := slices.IndexFunc(tests, func(test fields) bool { return test["name"] == c.Test })
	if at < 0 {
		return nil, fmt.Errorf("%s holds no %s", configFile, c.Test)
	}
	return tests[at], nil
}

// keepWorkload removes the test's other workloads and the workload's threshold. It returns
// the workload.
func (c Case) keepWorkload(test fields) (fields, error) {
	workloads, _ := test["workloads"].([]any)
	for _, object := range workloads {
		workload, _ := object.(map[string]any)
		if workload["name"] == c.Workload {
			delete(workload, "threshold")
			delete(workload, "thresholdMetricSelector")
			test["workloads"] = []any{workload}
			return workload, nil
		}
	}
	return nil, fmt.Errorf("%s of %s holds no %s", c.Test, configFile, c.Workload)
}

// gates returns the feature gates of a test and its workload. The workload's value takes precedence.
func gates(test, workload fields) map[string]bool {
	set := map[string]bool{}
	for _, from := range []fields{test, workload} {
		named, _ := from["featureGates"].(map[string]any)
		for name, value := range named {
			set[name], _ = value.(bool)
		}
	}
	return set
}

// fileName returns the name of the workload with slashes replaced.
func (c Case) fileName() string { return strings.ReplaceAll(c.Name(), "/", "_") }
