// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gangs finds the members of a gang.
//
// Every way in which a controller or a user declares a gang is one Source in
// one file. A source answers two questions: which gang a pod belongs to, from
// the pod alone, and what that gang is, from the object that declares it and
// the pods that are there. Sources asks them in a stated order.
//
// The package is pure: it has no client, no informer, no clock and no log.
// Objects come in through the small lookup interfaces declared here
// (implemented by pkg/workloads), pods through arguments. The same input gives
// the same output, in whatever order the members are given.
package gangs
