// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apply brings manifests into a cluster by server-side apply: the only kind of apply that takes KubeRay's
// custom resource definitions, which are larger than an annotation may be.
package apply
