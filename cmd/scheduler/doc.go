// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command scheduler is Dovetail: the kube-scheduler of the Kubernetes version it is built
// from, with Dovetail's plugins in the registry and Dovetail's default configuration.
//
// All else is as in the stock kube-scheduler (upstream): flags, leader election, metrics,
// health, logging. The differences are:
//
//   - without --config it uses the built-in manifests/scheduler-config.yaml, and applies the
//     same flags to it as upstream does;
//   - a configuration with which the scheduler would start but not do what the configuration
//     says is an error, and so is a lease of leader election that the scheduler may not use;
//     --dry-run-config checks a configuration without an API server;
//   - a replica that does not lead writes nothing;
//   - --version prints Dovetail's version before that of Kubernetes;
//   - --help describes Dovetail.
package main
