// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/dovetail-dev/dovetail/bench/ratios"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// benchFleet is 96 nodes with 768 GPUs: 3 spines of 4 leaves of 8 nodes.
var benchFleet = fleet.Spec{Name: "ndh100v5", Shape: fleet.NDH100v5, Spines: 3, Leaves: 4, Nodes: 8, Zone: "zone-1", PlacementGroup: "quality"}

// loads are the jobs' demand while they arrive, as fractions of all GPUs. At the first load
// hardly any job waits, so all contenders run the same jobs at the same time. At the second
// load gangs queue up.
var loads = []float64{0.7, 1}

type options struct {
	seeds, jobs int
	// first is the first seed of the comparison of reservations.
	first int
	// reservations names the parts of that comparison. If it is not empty, nothing else runs.
	reservations string
	out          string
}

func main() {
	var o options
	flag.IntVar(&o.seeds, "seeds", 5, "number of traces, each from its own seed")
	flag.IntVar(&o.jobs, "jobs", 3000, "jobs in a trace")
	flag.StringVar(&o.reservations, "reservations", "", "compare only the ways to reserve nodes, on other seeds: acme, philly (sources of run times) and stream, or several")
	flag.IntVar(&o.first, "first", 201, "first seed of the comparison of reservations")
	flag.StringVar(&o.out, "out", ".cache/bench/quality.json", "file for the figures")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "quality:", err)
		os.Exit(1)
	}
}

func (o options) run() error {
	if o.reservations != "" {
		return o.printReservers(os.Stdout)
	}
	// The commit is read first, because the checkout may change during the run.
	r := &report{options: o, began: time.Now(), commit: ratios.Commit(context.Background())}
	for _, load := range loads {
		all := make([]outcome, o.seeds)
		if err := inParallel(o.seeds, func(i int) (err error) {
			all[i], err = o.runSeed(uint64(i+1), load)
			return err
		}); err != nil {
			return err
		}
		r.loads = append(r.loads, loadResult{load, all})
	}
	if err := r.addCases(); err != nil {
		return err
	}
	r.print(os.Stdout)
	fmt.Printf("\n%d cores, %s\n", runtime.NumCPU(), time.Since(r.began).Round(time.Second))
	return r.write()
}

// outcome holds, for each of contenders, the values of all figures on one trace.
type outcome [][]float64

func (o options) runSeed(seed uint64, load float64) (outcome, error) {
	var sims []*sim
	var until time.Duration
	for _, of := range contenders {
		c := newSimulatedCluster(benchFleet)
		s, err := run(c, newTrace(seed, o.jobs, load, c.gpus()), func(c *simulatedCluster) (scheduler, error) { return of.build(c, seed) })
		if err != nil {
			return nil, fmt.Errorf("%s, load %g, seed %d: %w", of.name, load, seed, err)
		}
		sims, until = append(sims, s), max(until, s.lastEnd())
	}
	var out outcome
	for _, s := range sims {
		var values []float64
		for _, f := range figures {
			values = append(values, f.of(s, until))
		}
		out = append(out, values)
	}
	return out, nil
}

// inParallel runs the tasks 0 to n-1 on the machine's cores. It returns the error of the
// task with the lowest number that failed.
func inParallel(n int, task func(int) error) error {
	errs := make([]error, n)
	running := make(chan struct{}, runtime.NumCPU())
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		running <- struct{}{}
		go func() {
			defer all.Done()
			errs[i] = task(i)
			<-running
		}()
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
