// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package room makes room for gangs: it searches for running pods of lower priority whose
// eviction makes room, and evicts them. The tracker of the gangs' states decides when.
package room
