// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package localcluster runs a Kubernetes cluster of real processes on this machine: etcd, kube-apiserver,
// kube-controller-manager, the stock kube-scheduler, KWOK in place of kubelets, the KubeRay operator, and Dovetail, on a
// simulated fleet of GPU nodes. Tests use it as a library; test/localcluster/cmd is its command.
//
// Start runs a cluster for as long as the caller lives, and ends it with the caller however that dies. Up runs one
// that outlives the caller; Down ends it.
//
// What must hold:
//   - Everything listens on loopback only, and lies in one directory. Several clusters run side by side.
//   - Nothing is left running: not after a failed start, not after the starter was killed.
//   - Authorization is on. Every component has an identity of its own and the rights that its project ships for it;
//     Dovetail has the ServiceAccount and roles of manifests/ and nothing else.
//
// What the cluster cannot show: containers do not run and no network exists, so Ray's dashboard does not answer.
// The operator creates the RayCluster of a RayJob or a RayService, and it becomes Ready, since that takes nothing but
// the API server. Afterwards a RayJob stays Running until the operator fails it for want of an answer, half a minute
// after its submitter pod has completed, and a RayService never serves.
package localcluster
