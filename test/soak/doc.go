// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package soak has a test in which gangs of several sources (ways to declare a gang) come and
// go for a long time. The scheduler's memory, its goroutines and the numbers of entries in its
// caches must not grow.
package soak
