// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package singlepods tests on real API servers which running pods end for a pod of higher
// priority: with gangs of every source, with devices, and beside the stock scheduler.
package singlepods
