// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package view reads what the plugin Gang, which places gangs of pods, needs from the
// scheduler's informers and profile: the ResourceClaims of pods, storage objects, and which
// Filter plugins are enabled.
package view
