// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics declares every metric that Dovetail adds to those of
// kube-scheduler; they appear on the same /metrics endpoint.
package metrics
