// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command cmd starts and ends the local cluster: go run ./test/localcluster/cmd up|down|build.
package main
