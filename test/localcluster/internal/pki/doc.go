// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki makes the keys, certificates and kubeconfigs of one local cluster with the
// standard library. All files are in one directory. They are useless for other clusters,
// because every cluster has new authorities.
package pki
