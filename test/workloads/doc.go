// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workloads tests pkg/workloads, the watches on objects that declare gangs, against a
// real API server, on which custom resource definitions are created, changed and deleted.
package workloads
