// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package arch holds the tests of the repository's structure. They check imports, dependency
// cycles between the files of a package, the length of files and of package
// pkg/plugins/gang, package comments, the license header, the modules that go.mod requires,
// and that old names which were replaced are not used again. The package has no code of its
// own.
package arch
