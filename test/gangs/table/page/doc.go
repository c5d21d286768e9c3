// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command page writes docs/workloads.md from the Rows and Traps of test/gangs/table.
package main
