// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifests embeds the files that install Dovetail, so that the
// scheduler's built-in configuration, the local cluster and the tests use the
// very files that an administrator applies.
package manifests

import "embed"

// FS holds every YAML file of this directory, and of the components in folders of
// their own.
//
//go:embed *.yaml evictions/*.yaml native-groups/*.yaml scheduler-name/*.yaml
var FS embed.FS

// SchedulerConfig is the KubeSchedulerConfiguration with Dovetail's profiles.
//
//go:embed scheduler-config.yaml
var SchedulerConfig []byte
