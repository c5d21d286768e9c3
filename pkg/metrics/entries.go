// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"slices"
	"sync"

	"k8s.io/component-base/metrics"
)

// EntryKind is a kind of entry that the scheduler keeps in memory.
type EntryKind string

// The kinds of entries.
const (
	// EntryGangs are gangs that have pods.
	EntryGangs EntryKind = "gangs"
	// EntryMembers are the pods of gangs.
	EntryMembers EntryKind = "members"
	// EntryPodGroups are PodGroups for which the scheduler keeps state between two PodGroup
	// cycles.
	EntryPodGroups EntryKind = "podgroups"
	// EntryGatedPodGroups are PodGroups whose pods are kept out of the queue until they
	// have minCount pods.
	EntryGatedPodGroups EntryKind = "gated_podgroups"
	// EntryPodGroupOwners are RayClusters and JobSets that may request, by a label, that
	// Dovetail creates a PodGroup for them.
	EntryPodGroupOwners EntryKind = "podgroup_owners"
	// EntryDisplacedPods are pods without a gang that wait until nodes are no longer
	// reserved for a gang.
	EntryDisplacedPods EntryKind = "displaced_pods"
	// EntryMissingObjects are remembered lookups of objects, such as PodGroups, that do not
	// exist.
	EntryMissingObjects EntryKind = "missing_objects"
	// EntryReportedGangs are waiting gangs whose pods have a message why they wait.
	EntryReportedGangs EntryKind = "reported_gangs"
	// EntryPlannerNodes are nodes in the planner's models of the cluster, summed over all
	// models: each scheduler profile has at least one.
	EntryPlannerNodes EntryKind = "planner_nodes"
	// EntryPlannerColumns are resources and device kinds in these models.
	EntryPlannerColumns EntryKind = "planner_columns"
	// EntryDeviceNodes are nodes with devices in ResourceSlices.
	EntryDeviceNodes EntryKind = "device_nodes"
	// EntryDeviceQueries are the cached conditions that claims set for devices, such as
	// selectors.
	EntryDeviceQueries EntryKind = "device_queries"
	// EntryClaims are ResourceClaims with allocated devices.
	EntryClaims EntryKind = "claims"
	// EntryQueuedChanges are changes of ResourceSlices and ResourceClaims that the device
	// counts do not include yet.
	EntryQueuedChanges EntryKind = "queued_device_changes"
	// EntryClaimWriters are ResourceClaims, and pods, whose allocation is being written to
	// the API.
	EntryClaimWriters EntryKind = "claim_writers"
)

// Entries are numbers of entries by kind.
type Entries map[EntryKind]int

var entriesDesc = metrics.NewDesc(subsystem+"_entries",
	"Entries that the scheduler keeps in memory, by kind. Each follows the objects of the cluster, or has a limit.",
	[]string{"kind"}, nil, metrics.ALPHA, "")

// counters has the functions that count entries, by owner: the name of the component that
// keeps the entries.
var counters = struct {
	sync.Mutex
	byOwner map[string]func() Entries
}{byOwner: map[string]func() Entries{}}

// CountEntries sets the function that counts the entries of an owner. The metric has, by
// kind, the sum over all owners.
func CountEntries(owner string, count func() Entries) {
	counters.Lock()
	defer counters.Unlock()
	counters.byOwner[owner] = count
}

// entryCollector counts the entries when the metrics are read.
type entryCollector struct{ metrics.BaseStableCollector }

// DescribeWithStability sends the description of the metric.
func (*entryCollector) DescribeWithStability(ch chan<- *metrics.Desc) { ch <- entriesDesc }

// CollectWithStability sends the number of entries of each kind.
func (*entryCollector) CollectWithStability(ch chan<- metrics.Metric) {
	for kind, n := range sumOfEntries() {
		ch <- metrics.NewLazyConstMetric(entriesDesc, metrics.GaugeValue, float64(n), string(kind))
	}
}

func sumOfEntries() Entries {
	counters.Lock()
	counts := slices.Collect(maps.Values(counters.byOwner))
	counters.Unlock()
	sum := Entries{}
	for _, count := range counts {
		for kind, n := range count() {
			sum[kind] += n
		}
	}
	return sum
}
