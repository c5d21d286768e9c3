// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gangs holds what pkg/gangs reads against what the controllers of
// workloads really do: on a local cluster with the KubeRay operator, the JobSet
// controller and Kubernetes' own, Dovetail must find the gang of every workload
// and place it. Pods of controllers that cannot be built here are made as those
// make them. The cases stand in test/gangs/table, which docs/workloads.md is
// written from.
package gangs
