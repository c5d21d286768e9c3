// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package arch holds the tests that keep the repository in the shape that the
// design gives it. They check imports, loops of files inside a package, the
// length of files and of the adapter, package comments, the licence header, the
// requirements of go.mod, and that abandoned words stay away. The package has no
// code of its own.
package arch
