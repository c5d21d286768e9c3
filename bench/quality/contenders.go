// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"time"
)

// contender is a scheduling policy.
type contender struct {
	name, note string
	build      func(c *simulatedCluster, seed uint64) (scheduler, error)
}

// holdLimit is how long a job of the contender stock-deadline may hold nodes before all
// its pods are bound. The value is common in practice.
const holdLimit = 10 * time.Minute

// dovetailName is the contender whose figures are compared with the others'.
const dovetailName = "dovetail"

var contenders = []contender{
	{"stock", "pods one by one, LeastAllocated and BalancedAllocation, no gangs: a job holds its bound pods until all are bound",
		func(_ *simulatedCluster, seed uint64) (scheduler, error) {
			return podQueue{by: stockScore{newRandom(seed)}}, nil
		}},
	{"stock-deadline", "the same, but a job that is not fully bound after 10 minutes releases its pods and queues again",
		func(_ *simulatedCluster, seed uint64) (scheduler, error) {
			return podQueue{by: stockScore{newRandom(seed)}, holdLimit: holdLimit}, nil
		}},
	{"stock-gang", "stock scores, a job's pods one by one, all of them or none",
		func(_ *simulatedCluster, seed uint64) (scheduler, error) {
			return gangQueue{choose: oneByOne(stockScore{newRandom(seed)})}, nil
		}},
	{"best-fit", "all or none, each pod on the fullest node that holds it",
		func(*simulatedCluster, uint64) (scheduler, error) { return gangQueue{choose: oneByOne(fullest{})}, nil }},
	{"random", "all or none, each pod on any node that holds it",
		func(_ *simulatedCluster, seed uint64) (scheduler, error) {
			return gangQueue{choose: oneByOne(anywhere{newRandom(seed)})}, nil
		}},
	{"smallest-domain", "all or none, in the smallest domain with room by counts of GPUs, on its fullest nodes; devices first fit",
		func(*simulatedCluster, uint64) (scheduler, error) { return gangQueue{choose: smallestDomain}, nil }},
	{"smallest-domain-fifo", "the same, and no job bypasses a waiting job",
		func(*simulatedCluster, uint64) (scheduler, error) {
			return gangQueue{choose: smallestDomain, fifo: true}, nil
		}},
	{dovetailName, "the planner and the order of devices, maxBypass an hour as by default, reserve: Keep",
		func(c *simulatedCluster, _ uint64) (scheduler, error) {
			return newDovetail(c, policy{maxBypass: maxBypass})
		}},
	{"dovetail-10m", "the same with maxBypass 10 minutes",
		func(c *simulatedCluster, _ uint64) (scheduler, error) {
			return newDovetail(c, policy{maxBypass: 10 * time.Minute})
		}},
	{"dovetail-bypass", "the same with maxBypass 0: later gangs may bypass a blocked gang for ever",
		func(c *simulatedCluster, _ uint64) (scheduler, error) { return newDovetail(c, policy{}) }},
}

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 11)) }
