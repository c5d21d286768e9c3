// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package requests asks the API server to evict pods that package evict allows to leave. It
// writes to each pod why it ends, and respects PodDisruptionBudgets.
package requests
