// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The environment variables of make test-harm.
const (
	// fullEnv asks for the test.
	fullEnv = "HARM_FULL"
	// waysEnv limits the ways to those whose name contains one of these words, separated by commas.
	waysEnv = "HARM_WAYS"
	// podsEnv is the number of pods of most ways in the long form; some have ten times as many.
	podsEnv = "HARM_PODS"
)

// full are the sizes of make test-harm.
var full = scale{
	pods: 1000, many: 10_000, length: 6 * time.Second, limit: 90 * time.Second, after: 3 * time.Second, patience: time.Minute,
}

// What a namespace's user writes costs the pods of another at most twice as much as under
// stock. The test compares waits, so it is no part of make test, where other tests run.
func TestHarm(t *testing.T) {
	if os.Getenv(fullEnv) == "" {
		t.Skip("compares waits, on a machine without other work: make test-harm")
	}
	size, chosen := full, []string{""}
	if text := os.Getenv(podsEnv); text != "" {
		pods, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("reading %s: %v", podsEnv, err)
		}
		size.pods, size.many = pods, 10*pods
	}
	if text := os.Getenv(waysEnv); text != "" {
		chosen = strings.Split(text, ",")
	}
	table, r := tableHead, start(t)
	for _, way := range ways {
		if !slices.ContainsFunc(chosen, func(word string) bool { return strings.Contains(way.name, word) }) {
			continue
		}
		t.Run(way.name, func(t *testing.T) {
			var results []result
			for _, scheduler := range []string{stock, dovetail} {
				t.Run(scheduler, func(t *testing.T) { results = append(results, r.attack(t, way, scheduler, size)) })
			}
			if len(results) < 2 {
				return // a subtest has failed
			}
			table += row(way.name, results[0], results[1])
			for _, sentence := range excess(results[0], results[1]) {
				t.Error(sentence)
			}
		})
	}
	t.Logf("waits as median / longest, without those of the control pods; the ratio counts if Dovetail's is above %v; control and CPU as stock; Dovetail\n%s", floor, table)
}

// attack measures a way with a scheduler, and fails the test if the attack did not happen.
func (r *rig) attack(t *testing.T, way way, scheduler string, size scale) result {
	t.Helper()
	found := r.measure(t, way, scheduler, size)
	t.Logf("%d writes, %d refused (%v); single pods %s ms, gangs %s ms (%d and %d waits), control pods %s ms, %d batches unbound, %d not created; %.1f s of CPU", found.written,
		found.refused, found.refusal, found.single, found.gang, len(found.single), len(found.gang), found.control, found.unbound, found.uncreated, found.cpu.Seconds())
	if len(found.gang) == 0 {
		t.Error("no pod of the victim was created")
	}
	if found.refused > found.written/2 || found.written == 0 && way.name != ways[0].name {
		t.Errorf("the API server refused %d of %d writes, the last with: %v", found.refused, found.written+found.refused, found.refusal)
	}
	return found
}

// The limit is twice stock's wait, or a second.
func TestExcess(t *testing.T) {
	of := func(single, gang time.Duration) result { return result{single: waits{single}, gang: waits{gang}} }
	for name, test := range map[string]struct {
		stock, dovetail result
		want            int
	}{
		"below a second":        {of(time.Millisecond, time.Millisecond), of(900*time.Millisecond, time.Second), 0},
		"twice as long":         {of(3*time.Second, 3*time.Second), of(6*time.Second, 6*time.Second), 0},
		"single pods too long":  {of(time.Second, time.Second), of(2100*time.Millisecond, time.Second), 2},
		"gangs and pods longer": {of(time.Second, time.Second), of(3*time.Second, 3*time.Second), 4},
	} {
		if got := excess(test.stock, test.dovetail); len(got) != test.want {
			t.Errorf("%s: %q, want %d sentences", name, got, test.want)
		}
	}
}

// The median, the longest wait and the line of the table.
func TestRow(t *testing.T) {
	stock := result{single: waits{time.Millisecond, 30 * time.Millisecond, 10 * time.Millisecond}, gang: waits{20 * time.Millisecond}}
	dovetail := result{single: waits{20 * time.Millisecond}, gang: waits{50 * time.Millisecond}, written: 12345, control: waits{3 * time.Millisecond}, cpu: 1500 * time.Millisecond}
	const want = "| x | 12,345 | 10 / 30 | 20 / 20 | 2.0 / 0.7 | 20 / 20 | 50 / 50 | 2.5 / 2.5 | 0 / 0; 3 / 3 | 0.0; 1.5 |\n"
	if got := row("x", stock, dovetail); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
