// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workloads watches the objects that declare gangs, and answers the
// lookups of pkg/gangs from memory.
//
// The kinds it watches are custom resources that a cluster may or may not have.
// A kind is watched exactly while its CustomResourceDefinition is there: one
// that is missing is no error and holds nothing up, one that is installed later
// is noticed at once, one that is removed takes its objects with it. Kinds that
// are part of Kubernetes are watched from the start; one that the API server does
// not serve is no error either, and is looked for again from time to time.
//
// Of every object only what a source in pkg/gangs reads is kept.
//
// It also watches the pods that have ended, which a scheduler's own informer
// does not show and which count for their gangs.
package workloads
