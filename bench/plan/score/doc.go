// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package score sets the planner's score of a single pod beside the Score of
// the stock NodeResourcesFit plugin, in the same run and on the same nodes. It
// stands apart from bench/plan because it builds against Kubernetes.
package score
