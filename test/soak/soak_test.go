// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// lengthEnv is the environment variable for the length of the soak. Without it the test
	// only checks that nothing is left of shortGangs gangs.
	lengthEnv  = "SOAK_LENGTH"
	shortGangs = 40
	// atOnce is the number of gangs that exist at the same time.
	atOnce = 24
	// pace is the mean time between two new gangs.
	pace = 250 * time.Millisecond
)

// Gangs come and go. Once all are deleted, the scheduler keeps nothing about gangs. In the
// long form, its memory, its goroutines and all its entries also stay flat after the first
// sixth of the time.
func TestSoak(t *testing.T) {
	length := time.Duration(0)
	if text := os.Getenv(lengthEnv); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("reading %s: %v", lengthEnv, err)
		}
	}
	e := harness.New(t, harness.Start(t, localcluster.Options{Fleets: []fleet.Spec{fleet.Default()}}), harness.Options{Prefix: "soak-"})
	var samples []sample
	if length == 0 {
		churn(e, func(made int) bool { return made == shortGangs }, func(int) {})
	} else {
		samples = soak(e, length)
	}
	e.Gone("")
	e.Until("the scheduler keeps nothing about gangs", func(ctx context.Context) string { return left(read(ctx, e).entries) })
	for _, wrong := range growth(samples) {
		t.Error(wrong)
	}
}

// soak lets gangs come and go for this long. It returns a sample for each sixtieth of the
// time.
func soak(e *harness.Env, length time.Duration) []sample {
	var samples []sample
	began, next := time.Now(), time.Now()
	churn(e, func(int) bool { return time.Since(began) > length }, func(made int) {
		if time.Now().Before(next) {
			return
		}
		now := read(e.Context(), e)
		samples = append(samples, now)
		e.Logf("%6s %5d gangs: %s", time.Since(began).Round(time.Second), made, now)
		next = next.Add(length / 60)
	})
	return samples
}

// churn makes gangs until done, of which at most atOnce exist, and deletes them all.
func churn(e *harness.Env, done func(made int) bool, each func(made int)) {
	e.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var alive [][]string
	for made := 0; !done(made); made++ {
		if len(alive) == atOnce {
			i := random.IntN(len(alive))
			remove(e, alive[i])
			alive = slices.Delete(alive, i, i+1)
		}
		documents := gang(made)
		e.Create(documents...)
		alive = append(alive, documents)
		each(made)
		time.Sleep(time.Duration(random.Int64N(int64(2 * pace))))
	}
	for _, documents := range alive {
		remove(e, documents)
	}
}

// sample is what the scheduler used at one moment.
type sample struct {
	megabytes, goroutines float64
	entries               map[string]float64
}

// String prints a sample in one line.
func (s sample) String() string {
	text := fmt.Sprintf("%.0f MB, %.0f goroutines", s.megabytes, s.goroutines)
	for _, kind := range slices.Sorted(maps.Keys(s.entries)) {
		text += fmt.Sprintf(", %s %.0f", kind, s.entries[kind])
	}
	return text
}

var (
	memoryMetric    = regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`)
	goroutineMetric = regexp.MustCompile(`(?m)^go_goroutines (\S+)$`)
	entryMetric     = regexp.MustCompile(`(?m)^dovetail_entries\{kind="(\w+)"\} (\S+)$`)
)

// read reads the scheduler's metrics.
func read(ctx context.Context, e *harness.Env) sample {
	e.Helper()
	text, err := e.Cluster.Metrics(ctx, localcluster.Dovetail)
	if err != nil {
		e.Fatalf("reading metrics: %v", err)
	}
	memory, goroutines := memoryMetric.FindStringSubmatch(text), goroutineMetric.FindStringSubmatch(text)
	if memory == nil || goroutines == nil {
		e.Fatalf("the metrics lack memory or goroutines:\n%s", text)
	}
	s := sample{megabytes: number(e, memory[1]) / (1 << 20), goroutines: number(e, goroutines[1]), entries: map[string]float64{}}
	for _, found := range entryMetric.FindAllStringSubmatch(text, -1) {
		s.entries[found[1]] = number(e, found[2])
	}
	return s
}

func number(e *harness.Env, text string) float64 {
	e.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		e.Fatal(err)
	}
	return n
}

// gangKinds are the kinds of entries that exist only while gangs do.
var gangKinds = []string{"gangs", "members", "podgroups", "gated_podgroups", "displaced_pods", "reported_gangs", "claim_writers"}

// left names the entries of gangs that are still there.
func left(entries map[string]float64) string {
	text := ""
	for _, kind := range gangKinds {
		if n, known := entries[kind]; n != 0 || !known && kind != "gated_podgroups" {
			text += fmt.Sprintf("%s: %v (known: %v); ", kind, n, known)
		}
	}
	return text
}
