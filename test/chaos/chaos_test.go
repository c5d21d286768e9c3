// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/test/chaos"
)

// The environment variables of make test-chaos.
const (
	faultsEnv   = "CHAOS_FAULTS"
	seedEnv     = "CHAOS_SEED"
	kindsEnv    = "CHAOS_KINDS"
	replicasEnv = "CHAOS_REPLICAS"
)

// shortSeed is the seed of the short form, whose faults are the same each time.
const shortSeed = 1

// part is the number of faults of one cluster in a long run.
const part = 1000

// Gangs of every source come and go while faults happen. No invariant breaks, and after the
// last fault everything converges. The short form has 300 faults of one seed.
func TestChaos(t *testing.T) {
	options := chaos.Options{Seed: shortSeed, Faults: 300, Replicas: 2, Calm: 300, Limit: 5 * time.Minute}
	left := number(t, faultsEnv, 0)
	if left == 0 {
		chaos.Run(t, options)
		return
	}
	options.Calm, options.Limit = 100, 2*time.Hour
	seed := uint64(number(t, seedEnv, int(chaos.RandomSeed())))
	options.Kinds = kinds(t)
	for ; left > 0; left, seed = left-part, seed+1 {
		options.Seed, options.Faults = seed, min(left, part)
		options.Replicas = number(t, replicasEnv, 1+int(seed%2))
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { chaos.Run(t, options) })
	}
}

// kinds returns the kinds of faults that the environment names, nil for all.
func kinds(t *testing.T) []string {
	t.Helper()
	text := os.Getenv(kindsEnv)
	if text == "" {
		return nil
	}
	names, known := strings.Split(text, ","), chaos.Kinds()
	for _, name := range names {
		if !slices.Contains(known, name) {
			t.Fatalf("%s has the unknown kind %q; the kinds are %s", kindsEnv, name, strings.Join(known, ", "))
		}
	}
	return names
}

// number reads an environment variable.
func number(t *testing.T, name string, unset int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return unset
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	return n
}
