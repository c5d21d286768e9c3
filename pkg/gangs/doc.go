// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gangs finds the members of a gang: the pods that must start together.
//
// There is one Source, in one file, for every way in which a controller or a user declares
// a gang. Which gang a pod belongs to, a source reads from the pod and nothing else. What
// the gang must have, it reads from the declaring object and the existing pods. The type
// Sources tries all sources in a fixed order.
//
// The package is pure: it has no client, no informer, no clock and no log. Objects come
// from the small lookup interfaces declared here, which pkg/workloads implements; pods come
// from arguments. The same input gives the same output, in whatever order the members are
// passed.
package gangs
