// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package arch holds the tests that keep the repository in the shape that the
// design gives it. They check imports, loops of files inside a package, the
// length of files and of package pkg/plugins/gang, package comments, the license
// header, the requirements of go.mod, and that words which were replaced by
// others are not used again. The package has no code of its own.
package arch
