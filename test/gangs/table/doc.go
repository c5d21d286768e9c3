// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package table says of every way of declaring a gang what Dovetail reads, and
// with what it is tested. The tests in test/gangs run over Rows: a case without a
// test, or a test without a case, fails there. docs/workloads.md is written from
// the same rows, so that it says what was tested and nothing else.
package table

//go:generate go run ./page -out ../../../docs/workloads.md
