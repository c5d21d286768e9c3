// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"text/template"

	"github.com/dovetail-dev/dovetail/test/gangs/table"
)

//go:embed workloads.md.tmpl
var page string

func main() {
	out := flag.String("out", "", "the file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	tmpl, err := template.New("workloads.md").Parse(page)
	if err != nil {
		return fmt.Errorf("parsing the template: %w", err)
	}
	var text bytes.Buffer
	if err := tmpl.Execute(&text, map[string]any{"Rows": table.Rows, "Traps": table.Traps}); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return os.WriteFile(out, text.Bytes(), 0o644)
}
