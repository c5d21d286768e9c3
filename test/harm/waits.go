// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"fmt"
	"slices"
	"time"
)

const (
	// atMost is how many times as long as under stock the victim may wait under Dovetail.
	atMost = 2
	// floor is the wait that is always allowed: differences between shorter waits are those of
	// a busy machine.
	floor = time.Second
)

// waits are the times that pods, or gangs, took from their creation to the binding, longer than
// the control pod of the same batch.
type waits []time.Duration

func (w waits) median() time.Duration {
	if len(w) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(w))[len(w)/2]
}

func (w waits) worst() time.Duration {
	if len(w) == 0 {
		return 0
	}
	return slices.Max(w)
}

// String has the median and the longest wait in milliseconds.
func (w waits) String() string {
	return fmt.Sprintf("%d / %d", w.median().Milliseconds(), w.worst().Milliseconds())
}

// result is what an attack cost the victim.
type result struct {
	single, gang waits
	// control has the waits of the control pods: what the machine and the API server cost.
	control waits
	// unbound counts batches of which not all pods were bound in the end. Their wait is the
	// time until then.
	unbound int
	// uncreated counts batches of which the API server did not accept all pods.
	uncreated int
	// cpu is the processor time of the scheduler. Other programs on the machine change it less
	// than the waits.
	cpu time.Duration
	// written and refused count the attacker's writes. refusal is the last error.
	written, refused int
	refusal          error
}

// excess returns a sentence for each wait under Dovetail that is too long beside that under stock.
func excess(stock, dovetail result) []string {
	var sentences []string
	check := func(what string, stock, dovetail time.Duration) {
		if limit := max(atMost*stock, floor); dovetail > limit {
			sentences = append(sentences, fmt.Sprintf("%s is %d ms with Dovetail and %d ms with stock: more than %d ms",
				what, dovetail.Milliseconds(), stock.Milliseconds(), limit.Milliseconds()))
		}
	}
	check("the median wait of single pods", stock.single.median(), dovetail.single.median())
	check("the longest wait of a single pod", stock.single.worst(), dovetail.single.worst())
	check("the median wait of gangs", stock.gang.median(), dovetail.gang.median())
	check("the longest wait of a gang", stock.gang.worst(), dovetail.gang.worst())
	return sentences
}

// tableHead is the head of the table of results, in Markdown.
const tableHead = `| way | writes | single pods: stock, ms | Dovetail, ms | ratio | four pods: stock, ms | gang: Dovetail, ms | ratio | control, ms | CPU, s |
|---|---|---|---|---|---|---|---|---|---|
`

// row returns a line of the table.
func row(way string, stock, dovetail result) string {
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s; %s | %.1f; %.1f |\n", way, thousands(dovetail.written),
		stock.single, dovetail.single, ratio(stock.single, dovetail.single),
		stock.gang, dovetail.gang, ratio(stock.gang, dovetail.gang), stock.control, dovetail.control, stock.cpu.Seconds(), dovetail.cpu.Seconds())
}

// ratio has the ratios of the medians and of the longest waits.
func ratio(stock, dovetail waits) string {
	of := func(stock, dovetail time.Duration) string {
		return fmt.Sprintf("%.1f", float64(max(dovetail, time.Millisecond))/float64(max(stock, time.Millisecond)))
	}
	return of(stock.median(), dovetail.median()) + " / " + of(stock.worst(), dovetail.worst())
}

// thousands writes 12345 as 12,345.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
