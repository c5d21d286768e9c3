// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package harm measures what the user of one namespace can do to the pods of another by the
// objects that it writes: claims, selectors, annotations, gangs that can never start, and many
// or huge objects of other kinds.
//
// Each way has two clusters, with the stock scheduler and with Dovetail. The namespace attacker
// writes the same objects in both, and only the scheduler's name differs. Meanwhile single pods
// and groups of four pods come and go in the namespace victim, which has nodes of its own with
// free room. Their time from creation to the binding, under Dovetail, must be at most twice that
// under stock.
package harm
