// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command scheduler is Dovetail: the kube-scheduler of the Kubernetes version
// it is built from, with Dovetail's plugins in the registry and Dovetail's
// configuration as the default.
//
// Everything else is upstream's: flags, leader election, metrics, health,
// logging. Where this command differs:
//
//   - without --config it runs with manifests/scheduler-config.yaml, which is
//     built in, and honours the same flags beside it as upstream does;
//   - --version names Dovetail's version before that of Kubernetes;
//   - --help speaks of Dovetail.
package main
