// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chaos runs gangs of every source on a local cluster while faults happen, and has
// test/invariants judge what it sees.
//
// A proxy stands between each replica of Dovetail and the API server. It drops answers after
// the write was done, cuts requests before it, delays them, answers with errors, and breaks or
// stalls watches. Other faults kill and pause programs, refuse writes by a webhook, and remove
// nodes, devices, pods, claims, PodGroups, workloads and namespaces. Table lists the kinds.
//
// A seed determines the gangs, the order of the faults and their parameters. It does not
// determine the moments at which the programs meet them: a second run with the same seed has
// the same faults, and may have other results.
package chaos
