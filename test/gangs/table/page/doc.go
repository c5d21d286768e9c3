// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command page writes docs/workloads.md from two tables of test/gangs/table: Rows, the ways to
// declare a gang, and Traps, what controllers do that could mislead a scheduler.
package main
