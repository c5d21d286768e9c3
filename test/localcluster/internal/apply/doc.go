// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apply applies manifests to a cluster by server-side apply. Client-side apply
// fails for KubeRay's custom resource definitions, because they exceed the size limit of an
// annotation.
package apply
