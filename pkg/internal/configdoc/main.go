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

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
)

//go:embed config.md.tmpl
var page string

func main() {
	types := flag.String("types", "v1", "the folder of the v1 types")
	out := flag.String("out", "", "the file to write")
	flag.Parse()
	if err := run(*types, *out); err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
}

func run(typesDir, out string) error {
	text, err := render(typesDir)
	if err != nil {
		return err
	}
	return os.WriteFile(out, text, 0o644)
}

// render returns the whole page about the plugins' arguments, as Markdown.
func render(typesDir string) ([]byte, error) {
	types, err := parseTypes(typesDir)
	if err != nil {
		return nil, fmt.Errorf("reading the types in %s: %w", typesDir, err)
	}
	tmpl, err := template.New("config.md").Funcs(template.FuncMap{"join": strings.Join}).Parse(page)
	if err != nil {
		return nil, fmt.Errorf("parsing the template: %w", err)
	}
	var text bytes.Buffer
	err = tmpl.Execute(&text, struct {
		Types   map[string]typeDoc
		Presets []config.Preset
	}{types, config.Presets()})
	return text.Bytes(), err
}
