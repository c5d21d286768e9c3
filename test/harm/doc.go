// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package harm measures what the user of one namespace can do to the pods of another by the
// objects that it writes: claims, selectors, annotations, gangs that can never start, and many
// or huge objects of other kinds.
//
// Each way runs twice, and only the scheduler's name in the pods differs: stock or Dovetail.
// While the attacker's namespace writes its objects, single pods and groups of four pods come and
// go in the victim's, which has nodes of its own with free room. Their time from creation to the
// binding, under Dovetail, must be at most twice that under stock.
//
// A busy API server or machine delays the victim's pods as well. Therefore the other scheduler,
// which has no pods of the attacker, binds a control pod in each batch of the victim's pods. Its
// wait is subtracted from those of the batch.
package harm
