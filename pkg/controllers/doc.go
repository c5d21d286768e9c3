// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers keeps objects of other projects up to date where nobody
// else does. Each reconciler is one file; it reads pods from informers that are
// there already, and the one object that it writes from the API server.
package controllers
