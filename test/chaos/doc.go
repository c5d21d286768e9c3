// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chaos runs gangs of every source (way to declare a gang) on a local cluster while
// faults happen. The invariant checker (test/invariants) watches the cluster, and reports for
// example gangs that stay bound in part and devices that are allocated twice.
//
// A proxy stands between each replica of Dovetail and the API server. It drops answers after
// the API server has done the write, cuts requests before it, delays them, answers with errors,
// and breaks or stalls watches. Other faults kill and pause programs, refuse writes by an
// admission webhook, and remove nodes, devices, pods, claims, PodGroups, workloads and
// namespaces. The variable table lists the kinds.
//
// A seed determines the gangs, the order of the faults and their parameters. It does not
// determine what the programs are doing when a fault happens: a second run with the same seed
// has the same faults, and may have other results.
package chaos
