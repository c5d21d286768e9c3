// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gangs tests whether pkg/gangs reads gangs as the controllers of workloads really make
// them: on a local cluster with the KubeRay operator, the JobSet controller and Kubernetes' own
// controllers, Dovetail must find the gang of every workload and place it. For controllers that
// cannot be built here, the tests create the pods that these controllers would create. The
// cases are in test/gangs/table, from which docs/workloads.md is generated.
package gangs
