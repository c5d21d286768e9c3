// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package binaries builds every program of the local cluster from Go modules into
// .cache/bin, and finds the directories of modules whose files the cluster reads at run
// time. It downloads only modules and copies no files into the repository.
package binaries
