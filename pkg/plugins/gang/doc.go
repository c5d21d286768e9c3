// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gang is the plugin that places a gang whole or not at all.
//
// It is a thin adapter. pkg/gangstate decides what a gang and its members may do next,
// pkg/placement finds nodes for them, and the extension points translate: they pass pods,
// nodes and the time in, and apply the Effects that come out (apply.go). The members of a
// gang wait in PreEnqueue (gate.go) until the quorum exists. The first member that comes up
// has the whole gang planned (cycle.go); every member then passes the stock filters on its
// planned node only, reserves, and waits in Permit until the quorum has reserved. If a
// member is refused, all members give back what they hold, and the gang is planned again
// without what refused.
//
// The sub-packages are podgroup, for the scheduler's own cycle of PodGroups, and report,
// which writes why a gang waits.
package gang
