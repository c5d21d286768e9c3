// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan places a whole gang at once.
package plan
