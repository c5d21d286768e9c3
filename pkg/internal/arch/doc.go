// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package arch holds the tests that keep the repository in the shape that the
// design gives it: who may import whom and why, that every package says what it
// is, the licence header, the length of files, and that go.mod says what the
// code imports. It has no code of its own.
package arch
