// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command scheduler is Dovetail: the kube-scheduler of the Kubernetes version it is built
// from, with Dovetail's plugins in the registry and Dovetail's default configuration.
//
// All else is upstream's: flags, leader election, metrics, health, logging. The differences
// are:
//
//   - without --config it uses the built-in manifests/scheduler-config.yaml, and applies the
//     same flags to it as upstream does;
//   - --version prints Dovetail's version before that of Kubernetes;
//   - --help describes Dovetail.
package main
