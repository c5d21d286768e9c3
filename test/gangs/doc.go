// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gangs holds what pkg/gangs infers against what the real KubeRay
// operator does: the pods that it creates are the gang's, as many of each role
// as the gang wants, in both of the modes that Dovetail supports.
package gangs
