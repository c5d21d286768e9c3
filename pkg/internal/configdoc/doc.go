// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command configdoc writes docs/config.md, the reference of the plugins'
// arguments.
//
// Prose and examples come from config.md.tmpl; fields and their descriptions from the
// comments in pkg/apis/config/v1; defaults from running the defaulting functions; presets
// (built-in lists of topology levels) from the list that the plugins use. So the page cannot
// say anything that the code does not do. Run the command with make generate.
package main
