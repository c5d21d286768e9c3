// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"sync"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// PlanResult is how a plan ended.
type PlanResult string

// The results of a plan: the gang has nodes, it cannot be placed, or planning failed with
// an error.
const (
	PlanPlaced  PlanResult = "placed"
	PlanRefused PlanResult = "refused"
	PlanError   PlanResult = "error"
)

// PairResult is whether a NIC that a pod got is in one alignment unit (such as a PCIe
// root) with a GPU of the pod.
type PairResult string

// The results of pairing.
const (
	Paired   PairResult = "paired"
	Unpaired PairResult = "unpaired"
)

const subsystem = "dovetail"

var (
	planDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Subsystem: subsystem,
		Name:      "gang_plan_duration_seconds",
		Help:      "Time to plan one gang, lazily asked stock filters included, by profile and result.",
		// 100 µs to 1.6 s.
		Buckets:        metrics.ExponentialBuckets(0.0001, 2, 15),
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile", "result"})
	planFits = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Subsystem:      subsystem,
		Name:           "gang_plan_fits_calls",
		Help:           "How often one plan asked the stock filters about a node.",
		Buckets:        metrics.ExponentialBuckets(1, 4, 8),
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	planNodes = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Subsystem:      subsystem,
		Name:           "gang_plan_nodes_touched",
		Help:           "How many nodes one plan looked at.",
		Buckets:        metrics.ExponentialBuckets(1, 4, 10),
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	gatherDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Subsystem:      subsystem,
		Name:           "gang_gather_duration_seconds",
		Help:           "Time from a plan to the moment in which the quorum had reserved and binding began.",
		Buckets:        metrics.ExponentialBuckets(0.001, 2, 15),
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	refusedPlans = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "gang_plan_refusals_total",
		Help:           "Planned nodes that a stock filter refused when the member came up, which costs a new plan.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	evictions = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "gang_evictions_total",
		Help:           "Members evicted because their gang lost others and is to be placed whole elsewhere.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	clearDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Subsystem: subsystem,
		Name:      "clear_duration_seconds",
		Help:      "Time to search for pods whose eviction makes room for one gang, by profile and result (found or refused).",
		// 1 ms to 4 s.
		Buckets:        metrics.ExponentialBuckets(0.001, 2, 13),
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile", "result"})
	clearProven = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "clear_proven_total",
		Help:           "Searches for pods to evict that showed that no cheaper pods exist.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	preempted = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "preemption_victims_total",
		Help:           "Pods of lower priority that were evicted to make room for gangs.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	evictionsRefused = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "evictions_refused_total",
		Help:           "Gangs for which nobody was evicted because the API server refused an eviction.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	devicePairs = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "device_pairs_total",
		Help:           "RDMA NICs of bound pods that have GPUs, by profile and by whether they stand beside a GPU of the pod.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile", "result"})
	allocatedTwice = metrics.NewGauge(&metrics.GaugeOpts{
		Subsystem:      subsystem,
		Name:           "devices_allocated_twice",
		Help:           "Devices that are now in the allocations of several ResourceClaims: another scheduler allocates devices of the same nodes.",
		StabilityLevel: metrics.ALPHA,
	})
	givenBackTwice = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "device_conflicts_total",
		Help:           "Pods that were not bound and gave back their devices because another ResourceClaim had one of them as well.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"})
	gangsKnown = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Subsystem:      subsystem,
		Name:           "gangs",
		Help:           "Gangs that have pods of the profile, by profile and by the source that declares them, on the leader; a pod belongs to the first source that knows it.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile", "source"})
	registerOnce sync.Once
)

// Register adds the metrics to the scheduler's registry, once in a process.
func Register() {
	registerOnce.Do(func() {
		legacyregistry.MustRegister(planDuration, planFits, planNodes, gatherDuration, refusedPlans, evictions, clearDuration, clearProven, preempted, evictionsRefused, devicePairs, allocatedTwice, givenBackTwice, gangsKnown)
		legacyregistry.CustomMustRegister(&entryCollector{})
	})
}

// Planned counts a plan and its duration.
func Planned(profile string, result PlanResult, took time.Duration) {
	planDuration.WithLabelValues(profile, string(result)).Observe(took.Seconds())
}

// Work records how often one plan called the stock filters, and how many nodes it
// examined.
func Work(profile string, fitsCalls, nodes int) {
	planFits.WithLabelValues(profile).Observe(float64(fitsCalls))
	planNodes.WithLabelValues(profile).Observe(float64(nodes))
}

// Gathered observes the time from a gang's plan until its quorum (the members that must
// start together) had reserved nodes.
func Gathered(profile string, took time.Duration) {
	gatherDuration.WithLabelValues(profile).Observe(took.Seconds())
}

// Refused counts a planned node that a stock filter refused in the member's own
// scheduling cycle.
func Refused(profile string) {
	refusedPlans.WithLabelValues(profile).Inc()
}

// Evicted counts a member that was evicted so that its whole gang can move.
func Evicted(profile string) {
	evictions.WithLabelValues(profile).Inc()
}

// Cleared observes a search for pods to evict for a gang. found is true if there are some, proven
// if no cheaper ones exist.
func Cleared(profile string, found, proven bool, took time.Duration) {
	result := "refused"
	if found {
		result = "found"
	}
	clearDuration.WithLabelValues(profile, result).Observe(took.Seconds())
	if proven {
		clearProven.WithLabelValues(profile).Inc()
	}
}

// Preempted counts pods that were evicted to make room for a gang.
func Preempted(profile string, pods int) { preempted.WithLabelValues(profile).Add(float64(pods)) }

// EvictionRefused counts a gang for which nobody was evicted because the API server refused it.
func EvictionRefused(profile string) { evictionsRefused.WithLabelValues(profile).Inc() }

// Pairs counts NICs that a pod got, by whether each is in one alignment unit with a GPU
// of the pod.
func Pairs(profile string, result PairResult, nics int) {
	devicePairs.WithLabelValues(profile, string(result)).Add(float64(nics))
}

// AllocatedTwice sets the number of devices that are allocated to several ResourceClaims.
func AllocatedTwice(devices int) {
	allocatedTwice.Set(float64(devices))
}

// GivenBackTwice counts a pod that gave back devices because another claim had one of them.
func GivenBackTwice(profile string) {
	givenBackTwice.WithLabelValues(profile).Inc()
}

// GangKnown adds 1 to the number of gangs of a profile and source. It is called when a gang
// gets its first pod of the profile.
func GangKnown(profile, source string) { known.add(profile, source, 1) }

// GangGone subtracts 1 from the number of gangs of a profile and source. It is called when
// a gang loses its last pod of the profile.
func GangGone(profile, source string) { known.add(profile, source, -1) }

// Lead begins to show the number of gangs, when this replica becomes the leader. Replicas
// that stand by know the same gangs as the leader, and sums over the replicas would count
// them twice.
func Lead() { known.show() }

// known counts gangs for the gauge, which has values only once this replica leads.
var known = gangCounts{counts: map[profileSource]int{}}

type profileSource struct{ profile, source string }

type gangCounts struct {
	mu     sync.Mutex
	counts map[profileSource]int
	shown  bool
}

func (c *gangCounts) add(profile, source string, change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := profileSource{profile, source}
	c.counts[of] += change
	if c.shown {
		gangsKnown.WithLabelValues(profile, source).Set(float64(c.counts[of]))
	}
}

func (c *gangCounts) show() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = true
	for of, n := range c.counts {
		gangsKnown.WithLabelValues(of.profile, of.source).Set(float64(n))
	}
}
