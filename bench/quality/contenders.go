// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"time"
)

// contender is a way to schedule.
type contender struct {
	name, what string
	build      func(c *cluster, seed uint64) (scheduler, error)
}

// patience is what jobs with a deadline for their pods often have.
const patience = 10 * time.Minute

// dovetailName is the contender that figures compare with the others.
const dovetailName = "dovetail"

var contenders = []contender{
	{"stock", "pods one by one, LeastAllocated and BalancedAllocation, no gangs: a job holds what it has until the rest is there",
		func(_ *cluster, seed uint64) (scheduler, error) { return podQueue{by: stockScore{dice(seed)}}, nil }},
	{"stock-deadline", "the same, but a job that is not whole after 10 minutes gives everything back and queues up again",
		func(_ *cluster, seed uint64) (scheduler, error) {
			return podQueue{by: stockScore{dice(seed)}, patience: patience}, nil
		}},
	{"stock-gang", "stock scores, a job's pods one by one, all of them or none",
		func(_ *cluster, seed uint64) (scheduler, error) {
			return gangQueue{place: oneByOne(stockScore{dice(seed)})}, nil
		}},
	{"best-fit", "all or none, each pod on the fullest node that holds it",
		func(*cluster, uint64) (scheduler, error) { return gangQueue{place: oneByOne(fullest{})}, nil }},
	{"random", "all or none, each pod on any node that holds it",
		func(_ *cluster, seed uint64) (scheduler, error) {
			return gangQueue{place: oneByOne(anywhere{dice(seed)})}, nil
		}},
	{"smallest-domain", "all or none, in the smallest domain with room by counts of GPUs, there on the fullest nodes; devices first fit",
		func(*cluster, uint64) (scheduler, error) { return gangQueue{place: smallestDomain}, nil }},
	{"smallest-domain-fifo", "the same, and nobody passes a job that waits",
		func(*cluster, uint64) (scheduler, error) { return gangQueue{place: smallestDomain, strict: true}, nil }},
	{dovetailName, "the planner and the order of devices, maxBypass an hour as by default",
		func(c *cluster, _ uint64) (scheduler, error) { return newDovetail(c, maxBypass) }},
	{"dovetail-10m", "the same with maxBypass 10 minutes",
		func(c *cluster, _ uint64) (scheduler, error) { return newDovetail(c, 10*time.Minute) }},
	{"dovetail-bypass", "the same with maxBypass 0: a blocked gang is passed for ever",
		func(c *cluster, _ uint64) (scheduler, error) { return newDovetail(c, 0) }},
}

func dice(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 11)) }
