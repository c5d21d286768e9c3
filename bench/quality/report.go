// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dovetail-dev/dovetail/bench/ratios"
)

// report holds all results of one run of the command.
type report struct {
	options
	began  time.Time
	commit string
	loads  []loadResult
	// chosen are the nodes that runTopology (a gang that fits into one spine) returned, by
	// contender. fixed and mixed are the results of runBurst (many jobs at once), by contender:
	// fixed in the burst's own order, mixed in random orders.
	chosen [][]int
	fixed  []burstResult
	mixed  [][]burstResult
	// streams are the results of runStream (a gang among small jobs), by contender and seed.
	streams [][]streamResult
}

type loadResult struct {
	load  float64
	seeds []outcome
}

// values returns one figure of one contender, by seed.
func (l loadResult) values(contender, figure int) []float64 {
	var values []float64
	for _, result := range l.seeds {
		values = append(values, result[contender][figure])
	}
	return values
}

// mixedBursts is the number of random orders of the burst.
const mixedBursts = 20

func (r *report) addCases() error {
	for _, of := range contenders {
		chosen, err := runTopology(of, 1)
		if err != nil {
			return fmt.Errorf("%s, topology case: %w", of.name, err)
		}
		r.chosen = append(r.chosen, chosen)
		all := make([]burstResult, mixedBursts+1)
		if err := inParallel(len(all), func(i int) (err error) {
			all[i], err = runBurst(of, uint64(i))
			return err
		}); err != nil {
			return fmt.Errorf("%s, burst: %w", of.name, err)
		}
		r.fixed, r.mixed = append(r.fixed, all[0]), append(r.mixed, all[1:])
		streams := make([]streamResult, r.seeds)
		if err := inParallel(len(streams), func(i int) (err error) {
			streams[i], err = runStream(of, uint64(i+1))
			return err
		}); err != nil {
			return fmt.Errorf("%s, stream: %w", of.name, err)
		}
		r.streams = append(r.streams, streams)
	}
	return nil
}

func (r *report) print(w io.Writer) {
	for _, l := range r.loads {
		fmt.Fprintf(w, "\n## %d jobs on %d nodes, load %g, mean of %d seeds (± standard deviation)\n\n", r.jobs, benchFleet.Size(), l.load, r.seeds)
		header := []string{"figure"}
		for _, c := range contenders {
			header = append(header, c.name)
		}
		row(w, header)
		row(w, slices.Repeat([]string{"---"}, len(header)))
		for f, figure := range figures {
			cells := []string{figure.title}
			for c := range contenders {
				cells = append(cells, cell(l.values(c, f)))
			}
			row(w, cells)
		}
	}
	r.printCases(w)
	r.printStreams(w)
}

func (r *report) printCases(w io.Writer) {
	fmt.Fprintf(w, "\n## Cases of knavigator\n\n")
	row(w, []string{"contender", "topology case: nodes", "spines", "burst: makespan, × shortest possible", "GPU utilization", fmt.Sprintf("in %d other orders: makespan", mixedBursts), "GPU utilization", "jobs that never start"})
	row(w, slices.Repeat([]string{"---"}, 8))
	for c, of := range contenders {
		mixed := r.mixedOf(c)
		row(w, []string{of.name, strings.Trim(fmt.Sprint(r.chosen[c]), "[]"), fmt.Sprint(spinesOf(r.chosen[c])),
			number(r.fixed[c].ofFewest()), number(r.fixed[c].occupancy), cell(mixed.makespans), cell(mixed.occupancies), fmt.Sprint(mixed.neverStarted)})
	}
}

func (r *report) printStreams(w io.Writer) {
	fmt.Fprintf(w, "\n## A gang of %d nodes among small jobs that keep %d nodes busy, mean of %d seeds\n\n", streamGang, burstFleet.Size(), r.seeds)
	row(w, []string{"contender", "the gang waits, s", "small jobs wait, s"})
	row(w, slices.Repeat([]string{"---"}, 3))
	for c, of := range contenders {
		gang, others := r.streamOf(c)
		row(w, []string{of.name, cell(gang), cell(others)})
	}
}

func (r *report) streamOf(contender int) (gang, others []float64) {
	for _, result := range r.streams[contender] {
		gang, others = append(gang, result.gang), append(others, result.others)
	}
	return gang, others
}

// ofFewest returns the makespan divided by the minimum, the makespan without idle nodes.
func (b burstResult) ofFewest() float64 {
	if b.neverStarted > 0 {
		return math.Inf(1)
	}
	return b.makespan.Seconds() / (burstFewest * burstDuration.Seconds())
}

type mixedResult struct {
	makespans, occupancies []float64
	neverStarted           int
}

func (r *report) mixedOf(contender int) mixedResult {
	var m mixedResult
	for _, result := range r.mixed[contender] {
		m.makespans, m.occupancies = append(m.makespans, result.ofFewest()), append(m.occupancies, result.occupancy)
		m.neverStarted += result.neverStarted
	}
	return m
}

func spinesOf(numbers []int) int {
	spines := map[int]bool{}
	for _, n := range numbers {
		spines[(n-1)/(topologyFleet.Leaves*topologyFleet.Nodes)] = true
	}
	return len(spines)
}

func row(w io.Writer, cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

func cell(values []float64) string {
	mean, spread := statistics(values)
	if math.IsInf(mean, 0) {
		return "never"
	}
	if len(values) < 2 || spread < 0.0005*math.Abs(mean) {
		return number(mean)
	}
	return number(mean) + " ± " + number(spread)
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 0):
		return "never"
	case v != 0 && math.Abs(v) < 100:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// statistics returns the mean and the standard deviation.
func statistics(values []float64) (mean, spread float64) {
	for _, v := range values {
		mean += v
	}
	mean /= float64(len(values))
	for _, v := range values {
		spread += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(spread / float64(max(1, len(values)-1)))
}

// rivals are the contenders with published ratios. The tables have all contenders.
var rivals = []string{"stock", "stock-gang", "best-fit", "smallest-domain", "dovetail-bypass"}

// publish compares Dovetail with its rivals, seed by seed. It omits infinite values and
// ratios to zero.
func (r *report) publish() []ratios.Ratio {
	ours := slices.IndexFunc(contenders, func(c contender) bool { return c.name == dovetailName })
	var all []ratios.Ratio
	for _, l := range r.loads {
		for c, other := range contenders {
			if !slices.Contains(rivals, other.name) {
				continue
			}
			for f, figure := range figures {
				if p, ok := ratioOf(l.values(ours, f), l.values(c, f)); ok {
					p.Name = fmt.Sprintf("quality/load=%g/%s/dovetail-over-%s", l.load, figure.key, other.name)
					all = append(all, p)
				}
			}
		}
	}
	ourGang, _ := r.streamOf(ours)
	for c, other := range contenders {
		gang, _ := r.streamOf(c)
		if p, ok := ratioOf(ourGang, gang); ok && slices.Contains(rivals, other.name) {
			p.Name = "quality/stream/wait-gang/dovetail-over-" + other.name
			all = append(all, p)
		}
	}
	return append(all,
		ratios.Ratio{Name: "quality/nwtopo/dovetail-spines", Value: float64(spinesOf(r.chosen[ours])), Runs: 1},
		ratios.Ratio{Name: "quality/burst/dovetail-makespan-over-fewest", Value: r.fixed[ours].ofFewest(), Runs: 1})
}

func ratioOf(ours, others []float64) (ratios.Ratio, bool) {
	var bySeed []float64
	for i := range ours {
		if others[i] == 0 || math.IsInf(ours[i]+others[i], 0) || math.IsNaN(ours[i]/others[i]) {
			return ratios.Ratio{}, false
		}
		bySeed = append(bySeed, ours[i]/others[i])
	}
	mean, spread := statistics(bySeed)
	return ratios.Ratio{Value: mean, Spread: spread, Runs: len(bySeed)}, true
}

// write writes the ratios for bench/check.
func (r *report) write() error {
	return ratios.Write(r.out, ratios.Report{Taken: r.began.UTC(), Commit: r.commit, Cores: runtime.NumCPU(), Ratios: r.publish()})
}
