// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// reserver is a way to reserve nodes, with a kind of time limits.
type reserver struct {
	name   string
	policy policy
	limits limits
}

// reservers are compared with one another on seeds that no tuning has used. Limits have an
// effect only with backfill.
var reservers = []reserver{
	{"dovetail-bypass", policy{}, noLimits},
	{"dovetail-keep", policy{maxBypass: maxBypass}, noLimits},
	{"dovetail-backfill", policy{maxBypass: maxBypass, backfill: true}, noLimits},
	{"dovetail-backfill, honest limits", policy{maxBypass: maxBypass, backfill: true}, honestLimits},
	{"dovetail-backfill, modal limits", policy{maxBypass: maxBypass, backfill: true}, modalLimits},
}

// reservedFigures are the keys of the figures on which reservations have an effect.
var reservedFigures = []string{"wait", "wait-large", "wait-longest", "occupancy", "makespan", "leaves-over-fewest"}

// printReservers runs and prints the comparison of the reservers: on traces with the chosen
// sources of run times, and on a gang among small jobs.
func (o options) printReservers(w io.Writer) error {
	for _, source := range []durations{acme, philly} {
		if !strings.Contains(o.reservations, source.name) {
			continue
		}
		for _, load := range loads {
			values, err := o.runReservers(source, load)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "\n## Reservations: %d jobs, run times as in the trace %s, load %g, %s\n\n", o.jobs, source.name, load, o.describeSeeds())
			header := []string{"contender"}
			var chosen []figure
			for _, f := range figures {
				if slices.Contains(reservedFigures, f.key) {
					header, chosen = append(header, f.title), append(chosen, f)
				}
			}
			row(w, header)
			row(w, slices.Repeat([]string{"---"}, len(header)))
			for r, of := range reservers {
				cells := []string{of.name}
				for f := range chosen {
					cells = append(cells, confident(bySeed(values, r, f))+compared(values, r, f))
				}
				row(w, cells)
			}
		}
	}
	if strings.Contains(o.reservations, "stream") {
		return o.printReservedStreams(w)
	}
	return nil
}

func (o options) describeSeeds() string {
	return fmt.Sprintf("seeds %d to %d: mean ± 95 %% confidence interval (difference to %s ± standard error)", o.first, o.first+o.seeds-1, reservers[0].name)
}

// runReservers returns the values by seed, reserver and figure.
func (o options) runReservers(source durations, load float64) ([][][]float64, error) {
	values := make([][][]float64, o.seeds)
	return values, inParallel(o.seeds, func(i int) error {
		seed := uint64(o.first + i)
		for _, of := range reservers {
			c := newSimulatedCluster(benchFleet)
			jobs := newTraceOf(source.draw, seed, o.jobs, load*float64(c.gpus()))
			of.limits(jobs, seed, source.longest)
			s, err := run(c, jobs, func(c *simulatedCluster) (scheduler, error) { return newDovetail(c, of.policy) })
			if err != nil {
				return fmt.Errorf("%s, %s, load %g, seed %d: %w", of.name, source.name, load, seed, err)
			}
			var figuresOf []float64
			for _, f := range figures {
				if slices.Contains(reservedFigures, f.key) {
					figuresOf = append(figuresOf, f.of(s, s.lastEnd()))
				}
			}
			values[i] = append(values[i], figuresOf)
		}
		return nil
	})
}

// printReservedStreams compares the reservers on a gang among small jobs.
func (o options) printReservedStreams(w io.Writer) error {
	values := make([][][]float64, o.seeds)
	if err := inParallel(o.seeds, func(i int) error {
		for _, of := range reservers {
			jobs := stream(uint64(o.first + i))
			of.limits(jobs, uint64(o.first+i), longest)
			r, err := runStreamOf(jobs, func(c *simulatedCluster) (scheduler, error) { return newDovetail(c, of.policy) })
			if err != nil {
				return fmt.Errorf("%s, stream, seed %d: %w", of.name, o.first+i, err)
			}
			values[i] = append(values[i], []float64{r.gang, r.others})
		}
		return nil
	}); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## Reservations: a gang of %d nodes among small jobs that keep %d nodes busy, %s\n\n", streamGang, burstFleet.Size(), o.describeSeeds())
	row(w, []string{"contender", "the gang waits, s", "small jobs wait, s"})
	row(w, slices.Repeat([]string{"---"}, 3))
	for r, of := range reservers {
		row(w, []string{of.name, confident(bySeed(values, r, 0)), confident(bySeed(values, r, 1))})
	}
	return nil
}

// bySeed returns one figure of one reserver.
func bySeed(values [][][]float64, reserver, figure int) []float64 {
	var of []float64
	for _, seed := range values {
		of = append(of, seed[reserver][figure])
	}
	return of
}

// compared returns the mean difference to the first reserver, seed by seed, with its standard
// error.
func compared(values [][][]float64, reserver, figure int) string {
	if reserver == 0 || len(values) < 2 {
		return ""
	}
	differences := bySeed(values, reserver, figure)
	for i, v := range bySeed(values, 0, figure) {
		differences[i] -= v
	}
	mean, spread := statistics(differences)
	return strings.ReplaceAll(fmt.Sprintf(" (%s ± %s)", number(mean), number(spread/math.Sqrt(float64(len(differences))))), "(-", "(−")
}

// confident returns the mean with its 95 % confidence interval.
func confident(values []float64) string {
	mean, spread := statistics(values)
	if len(values) < 2 {
		return number(mean)
	}
	return number(mean) + " ± " + number(studentT(len(values)-1)*spread/math.Sqrt(float64(len(values))))
}

// studentT returns the 97.5th percentile of Student's t distribution, to about 1 % from 3
// degrees of freedom on.
func studentT(degrees int) float64 {
	n := float64(degrees)
	return 1.96 + 2.372/n + 2.82/(n*n) + 2.56/(n*n*n)
}

// runStreamOf runs the stream (a gang among small jobs) and returns the waits.
func runStreamOf(jobs []*job, build func(*simulatedCluster) (scheduler, error)) (streamResult, error) {
	s, err := run(newSimulatedCluster(burstFleet), jobs, build)
	if err != nil {
		return streamResult{}, err
	}
	var r streamResult
	for _, e := range s.jobs {
		waited := e.waited(s.now).Seconds()
		if len(e.pods) > 1 {
			r.gang = waited
		} else {
			r.others += waited / float64(len(s.jobs)-1)
		}
	}
	return r, nil
}
