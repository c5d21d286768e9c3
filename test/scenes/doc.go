// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scenes holds a table of situations (scenes) in which pods of a gang have constraints
// on each other, on their nodes or on their volumes. Each scene runs with all components, on a
// local cluster of eight nodes. docs/scenes.md lists the scenes.
package scenes
