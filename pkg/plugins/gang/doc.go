// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gang is the plugin that places a gang, a group of pods, whole or not at all.
//
// The plugin is a thin adapter. pkg/gangstate decides the next step of a gang and its members.
// pkg/placement finds nodes for them. The extension points pass pods, nodes and the time to
// these packages, and carry out the Effects that pkg/gangstate returns, such as pods to
// activate (apply.go).
//
// The members of a gang wait in PreEnqueue (gate.go) until the quorum (the members that must
// start together) exists. The first member to reach PreFilter plans the whole gang (cycle.go).
// Every member then passes the stock filters on its planned node only, reserves, and waits in
// Permit until the quorum has reserved. If a filter refuses a member, all members release their
// nodes, and the gang is planned again without the refused node.
//
// Subpackage podgroup takes part in the PodGroup cycle, in which the scheduler itself places a
// PodGroup of scheduling.k8s.io. Subpackage report writes the reason why a gang waits.
// Subpackage view reads informers.
package gang
