// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package claimwrites gives the in-tree DynamicResources plugin a client that does not take
// a write of a ResourceClaim as failed if only its answer was lost.
//
// The in-tree plugin writes a claim's allocation before it binds the pod. After any error
// it gives the devices to other claims, also if the API server has stored the allocation.
// This client reads the claim after such an error. If the claim has what was sent, the
// write succeeded. If the claim is unchanged, the client sends the write again: both
// requests name the same resource version, so the API server carries out at most one of
// them. The client does so for a limited time and within the call of the plugin, which
// runs in the pod's binding goroutine. After that time Attempt.Lost returns the write to
// the caller.
package claimwrites
