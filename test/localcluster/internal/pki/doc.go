// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki makes the keys, certificates and kubeconfigs of one local cluster with the standard library. Everything
// lies in one directory and is worth nothing outside of it: the authorities are made anew for every cluster.
package pki
