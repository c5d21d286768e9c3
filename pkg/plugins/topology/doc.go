// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package topology is the plugin that knows the levels of the fabric, and
// scores nodes for single pods that ask for devices, so that they fill domains
// that are broken up already and leave free ones to gangs.
package topology
