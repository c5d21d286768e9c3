// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workloads watches the objects that declare gangs. It keeps them in memory for
// pkg/gangs, which reads the gangs from them.
//
// Most of its kinds are custom resources that a cluster may not have. A kind is watched
// exactly while its CustomResourceDefinition exists. A missing kind is no error and blocks
// nothing; a kind installed later is watched at once; the objects of a removed kind are
// forgotten. Kinds that are part of Kubernetes are watched from the start. If the API
// server does not serve one, that is no error either, and the watch retries from time to
// time.
//
// The package stores only the fields of an object that pkg/gangs reads.
//
// The package also watches the pods that have ended. A scheduler's own informer does not
// show them, but a succeeded pod still counts towards the minimum of its gang.
package workloads
