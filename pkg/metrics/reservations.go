// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"k8s.io/component-base/metrics"
)

var (
	reservations = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Subsystem:      subsystem,
		Name:           "reservations",
		Help:           "Gangs with reserved nodes, by profile and by whether other pods may use the nodes: kept, open to pods expected to end in time, or strict, which is open only by time limits.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile", "state"})
	startErrors = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Subsystem: subsystem,
		Name:      "reserved_start_error_seconds",
		Help:      "How much later than expected gangs with reserved nodes were placed, by profile; the expectation is that of the time at which nodes were first reserved. Earlier placements count as 0.",
		// 1 minute to about 17 hours.
		Buckets:        append([]float64{0}, metrics.ExponentialBuckets(60, 2, 11)...),
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	backfilled = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "backfilled_total",
		Help:           "Gangs placed on nodes that are reserved for another gang, by profile and reason: a time limit, a prediction, or because they take only what the other gang leaves free.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile", "by"})
)

// Reserved sets whether the profile has a reservation in that state.
func Reserved(profile, state string, is bool) {
	value := 0.0
	if is {
		value = 1
	}
	reservations.WithLabelValues(profile, state).Set(value)
}

// ReservedStart observes how much later than expected a gang with reserved nodes was placed.
func ReservedStart(profile string, late time.Duration) {
	startErrors.WithLabelValues(profile).Observe(max(0, late.Seconds()))
}

// Backfilled counts a gang that was placed on nodes reserved for another gang.
func Backfilled(profile, by string) {
	backfilled.WithLabelValues(profile, by).Inc()
}
