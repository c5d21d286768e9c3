// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package preemption tests, on a real API server, that gangs make room for more important ones.
package preemption
