// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package localcluster runs a Kubernetes cluster of real processes on this machine: etcd,
// kube-apiserver, kube-controller-manager, the stock kube-scheduler, KWOK in place of kubelets,
// the KubeRay operator, and Dovetail, on a simulated fleet of GPU nodes. Tests use it as a
// library; test/localcluster/cmd is its command.
//
// Start runs a cluster that ends with the calling program, even if that program is killed. Up
// runs a cluster that outlives the calling program; Down ends it.
//
// Guarantees:
//   - Every process listens on loopback only. All files of a cluster are in one directory.
//     Several clusters run side by side.
//   - No process is left running after a failed start or after the starter was killed.
//   - Authorization is on. Every component has its own identity and the rights that its project
//     ships for it. Dovetail has only the ServiceAccount and roles of manifests/.
//
// Limits: containers do not run and there is no pod network, so Ray's dashboard does not answer.
// The operator creates the RayCluster of a RayJob or a RayService. The RayCluster becomes Ready,
// because that needs only the API server. Afterwards a RayJob stays Running until the operator
// fails it, half a minute after its submitter pod has completed, because the dashboard does not
// answer. A RayService never serves.
package localcluster
