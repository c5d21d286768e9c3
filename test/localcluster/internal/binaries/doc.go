// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package binaries builds every program of the local cluster from Go modules into .cache/bin, and finds the directories
// of modules whose files are read at run time. Nothing is downloaded but modules, nothing is copied into the repository.
package binaries
