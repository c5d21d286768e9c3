// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gang is the plugin that places a gang whole or not at all.
//
// A pod of a gang waits in PreEnqueue (gate.go) until the quorum exists. The first member
// that comes up has the whole gang planned; every member then looks at its
// planned node only, passes the stock filters there, reserves, and waits in
// Permit until the quorum has reserved. If any member is refused, all give back
// what they hold at once, and the gang is planned again without what refused.
//
// What is known of gangs stands in a book, one for each profile: book.go and
// record.go keep members and declarations, attempt.go what happens to a plan, planning.go makes
// plans, trial.go asks the stock filters, report.go tells users why a gang waits.
package gang
