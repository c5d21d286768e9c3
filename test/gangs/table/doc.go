// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package table lists, for every way to declare a gang, what Dovetail reads and how that is
// tested. The tests in test/gangs run over Rows: a case without a test, or a test without a
// case, fails there. docs/workloads.md is generated from the same rows, so that it lists only
// what is tested.
package table

//go:generate go run ./page -out ../../../docs/workloads.md
