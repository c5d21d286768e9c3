// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1 is the written form of the plugins' arguments: what may stand
// under pluginConfig in a KubeSchedulerConfiguration.
//
// Every optional field is a pointer or a slice, so that "not written" differs
// from "written as zero"; the functions in defaults.go fill what was not
// written. The comments of the types are the user's documentation:
// docs/config.md is generated from them.
package v1
