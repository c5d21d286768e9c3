// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugins is the registry of Dovetail's scheduler plugins: the command,
// the tests and the benches all take them from here.
package plugins
