// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config holds the arguments of Dovetail's plugins as the plugins use
// them, and the way from a KubeSchedulerConfiguration to them.
//
// The kube-scheduler hands the arguments of a plugin that it does not know to
// the plugin's factory as they were written (runtime.Unknown). The factory
// calls DecodeGangArgs, DecodeTopologyArgs or DecodeDRAAwareArgs, which
//
//  1. decode strictly into the v1 type: a field that does not exist, and one
//     written twice, are errors;
//  2. accept apiVersion config.dovetail.dev/v1 and the kind, and refuse others;
//     leaving them out is fine;
//  3. fill defaults (v1), convert and validate.
//
// The result of a Decode function is complete and valid: callers neither check it again
// nor apply a default. Every error names the kind and the field.
package config

//go:generate go run ../../internal/configdoc -types v1 -out ../../../docs/config.md
