// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

//go:embed results.md.tmpl
var page string

func main() {
	data := flag.String("data", "results.yaml", "the file with the results")
	out := flag.String("out", "", "the file to write")
	flag.Parse()
	if err := run(*data, *out); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(1)
	}
}

func run(data, out string) error {
	r, err := load(data)
	if err != nil {
		return err
	}
	text, err := render(r)
	if err != nil {
		return err
	}
	return os.WriteFile(out, text, 0o644)
}

// results is the content of results.yaml.
type results struct {
	// Summary is the first table. README.md repeats it.
	Summary []summary `json:"summary"`
	Short   []speed   `json:"short"`
	Long    []speed   `json:"long"`
	Quality quality   `json:"quality"`
}

// summary selects a row of another table. Either Workload, or Load and Figure, must be set.
type summary struct {
	// Is describes the row.
	Is       string `json:"is"`
	Workload string `json:"workload,omitempty"`
	Load     string `json:"load,omitempty"`
	Figure   string `json:"figure,omitempty"`
}

// speed is the result of one workload of bench/perf.
type speed struct {
	Workload string `json:"workload"`
	Is       string `json:"is"`
	// Stock, Dovetail and Oracle are rates, in pods/s unless Is names another unit.
	Stock    string `json:"stock"`
	Dovetail string `json:"dovetail"`
	Oracle   string `json:"oracle"`
	// OfStock and OfOracle are Dovetail's rate divided by that of stock and of the oracle.
	// MakespanSpeedUp and AlgorithmSpeedUp are stock's durations divided by Dovetail's.
	OfStock          string `json:"ofStock"`
	OfOracle         string `json:"ofOracle"`
	MakespanSpeedUp  string `json:"makespanSpeedUp"`
	AlgorithmSpeedUp string `json:"algorithmSpeedUp"`
	Commit           string `json:"commit"`
	Command          string `json:"command"`
}

// quality is the result of bench/quality.
type quality struct {
	Commit  string   `json:"commit"`
	Command string   `json:"command"`
	Columns []string `json:"columns"`
	Rows    []figure `json:"rows"`
}

// figure is a row of the quality table, with a value for each column.
type figure struct {
	Load   string   `json:"load"`
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// load reads and checks results.yaml.
func load(path string) (results, error) {
	var r results
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := yaml.UnmarshalStrict(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	for _, row := range r.Quality.Rows {
		if len(row.Values) != len(r.Quality.Columns) {
			return r, fmt.Errorf("%s: %s at load %s has %d values for %d columns", path, row.Name, row.Load, len(row.Values), len(r.Quality.Columns))
		}
	}
	return r, nil
}

// render returns the page.
func render(r results) ([]byte, error) {
	tmpl, err := template.New("RESULTS.md").Funcs(template.FuncMap{"join": strings.Join, "row": r.summaryRow}).Parse(page)
	if err != nil {
		return nil, fmt.Errorf("parsing the template: %w", err)
	}
	var text bytes.Buffer
	err = tmpl.Execute(&text, r)
	return text.Bytes(), err
}

// summaryRow returns the line of the first table for the row that a summary selects.
func (r results) summaryRow(s summary) (string, error) {
	for _, row := range append(append([]speed(nil), r.Short...), r.Long...) {
		if row.Workload == s.Workload {
			return line(s.Is, row.Stock, row.Dovetail, row.Commit), nil
		}
	}
	for _, row := range r.Quality.Rows {
		if row.Load == s.Load && row.Name == s.Figure {
			return line(s.Is, r.Quality.value(row, "stock"), r.Quality.value(row, "dovetail"), r.Quality.Commit), nil
		}
	}
	return "", fmt.Errorf("summary %q selects no row", s.Is)
}

// value returns the value of a row in a column.
func (q quality) value(row figure, column string) string {
	for i, name := range q.Columns {
		if name == column {
			return row.Values[i]
		}
	}
	return ""
}

func line(cells ...string) string {
	return "| " + strings.Join(cells, " | ") + " |"
}
