// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scenes holds a table of situations in which pods of a gang ask something of one
// another, of their nodes or of their volumes. Each scene runs from the API server down, on a
// local cluster of eight nodes. docs/scenes.md lists the scenes.
package scenes
