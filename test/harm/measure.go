// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// scale has the sizes of an attack.
type scale struct {
	// pods is the number of pods of most ways.
	pods int
	// many is the number of pods of ways which are about numbers.
	many int
	// length is the time for which a way goes on that repeats the same writes.
	length time.Duration
	// limit ends an attack whose writes take longer.
	limit time.Duration
	// after is the time for which the victim goes on after the attack.
	after time.Duration
	// patience is the longest time for which the victim's last pods are waited for.
	patience time.Duration
}

var cpuMetric = regexp.MustCompile(`(?m)^process_cpu_seconds_total (\S+)$`)

// cpu returns the processor time that a scheduler has used.
func (r *rig) cpu(t *testing.T, scheduler string) time.Duration {
	t.Helper()
	text, err := r.cluster.Metrics(t.Context(), component(scheduler))
	if err != nil {
		t.Fatalf("reading metrics: %v", err)
	}
	found := cpuMetric.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("the metrics lack the processor time:\n%s", text)
	}
	seconds, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// measure runs a way with the pods of a scheduler, and returns what the victim waited.
func (r *rig) measure(t *testing.T, way way, scheduler string, size scale) result {
	t.Helper()
	r.measured++
	limited, cancel := context.WithTimeout(t.Context(), size.limit)
	defer cancel()
	a := &attacker{
		ctx: limited, client: r.client, dynamic: r.dynamic, scheduler: scheduler,
		namespace: fmt.Sprintf("attacker-%d", r.measured), victim: fmt.Sprintf("victim-%d", r.measured),
		size: size.pods, many: size.many, length: size.length,
	}
	for _, namespace := range []string{a.namespace, a.victim} {
		if err := r.createNamespace(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
	}
	v, err := newVictim(t.Context(), r, a.victim, scheduler)
	if err != nil {
		t.Fatal(err)
	}
	v.warmUp()
	before, began := r.cpu(t, scheduler), time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		way.write(a)
	}()
	v.createUntil(func(now time.Time) bool {
		select {
		case <-done:
			return now.Sub(began) > size.length+size.after
		default:
			return false
		}
	})
	found := v.result(size.patience)
	found.cpu = r.cpu(t, scheduler) - before
	found.written, found.refused, found.refusal = a.written, a.refused, a.refusal
	if err := r.remove(t.Context(), a.namespace, a.victim); err != nil {
		t.Fatal(err)
	}
	return found
}
