// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const (
	// defaultReportDelay is the default wait until a gang that lacks pods or claims is
	// reported. It is longer than the time between the creation of two pods of a gang, or of
	// a pod and its claims, unless a controller is badly overloaded.
	defaultReportDelay = time.Second
	// defaultMaxReplans lets nodes be planned for a gang three more times, each time without
	// what a stock filter refused. After that the gang more likely needs time than another
	// plan.
	defaultMaxReplans = 3
	// defaultPermitTimeout is how long a pod waits in Permit for the rest of its gang by
	// default. It is far longer than any gang takes to place, and shorter than the
	// scheduling framework's own limit of 15 minutes.
	defaultPermitTimeout = 10 * time.Minute
	// defaultHealAfter is 0: the pods of a gang that lost members are not evicted, so as to
	// be placed elsewhere. To end running pods is a decision for an administrator.
	defaultHealAfter = 0
	// defaultMaxBypass is how long later gangs may be placed, by default, before nodes are
	// reserved for a gang without room. It is longer than most jobs run, so that most gangs
	// get room without a reservation: reserved nodes are idle until the last pod on them
	// ends. bench/quality compares one hour with ten minutes and with no reservation.
	defaultMaxBypass = time.Hour
	// defaultReserve lets later gangs use reserved nodes while the gang that they are reserved
	// for cannot start yet. bench/quality compares it with reserved nodes that stay idle.
	defaultReserve = "Backfill"
	// defaultPreemption evicts pods of lower priority: that is what a PriorityClass means
	// everywhere else. Without PriorityClasses no pod is evicted.
	defaultPreemption = "Priority"
	// defaultBudgets respects PodDisruptionBudgets, as all other evictions of the scheduler.
	defaultBudgets = "Respect"
	// defaultVictims lets priority decide about the pods of all schedulers, as in stock.
	defaultVictims = "All"
	// defaultMinRuntime and defaultPreemptAfter let priority decide at once.
	defaultMinRuntime   = 0
	defaultPreemptAfter = 0
	// defaultPreset names the built-in list of network levels for the labels that NVIDIA's
	// topograph writes to nodes. It is not tied to a cloud.
	defaultPreset = "topograph"
	// defaultFilterTimeout and defaultBindingTimeout are the defaults of the stock plugin
	// DynamicResources.
	defaultFilterTimeout  = 10 * time.Second
	defaultBindingTimeout = 10 * time.Minute
)

// DefaultSources lists every source (way of declaring a gang), in the order in which sources
// are tried. The caller owns the slice.
func DefaultSources() []string {
	return []string{
		"schedulinggroup", "podgroup", "volcano", "yunikorn", "kueue", "leaderworkerset", "raycluster", "jobset", "job", "ganglabel",
	}
}

// SetGangDefaults fills the fields of GangArgs that were not written.
func SetGangDefaults(args *GangArgs) {
	setDuration(&args.ReportDelay, defaultReportDelay)
	setDuration(&args.PermitTimeout, defaultPermitTimeout)
	setDuration(&args.HealAfter, defaultHealAfter)
	setDuration(&args.MaxBypass, defaultMaxBypass)
	setString(&args.Reserve, defaultReserve)
	setDuration(&args.MinRuntime, defaultMinRuntime)
	setDuration(&args.PreemptAfter, defaultPreemptAfter)
	setString(&args.Preemption, defaultPreemption)
	setString(&args.Budgets, defaultBudgets)
	setString(&args.Victims, defaultVictims)
	if args.AllowNeverPreempt == nil {
		args.AllowNeverPreempt = ptr.To(false)
	}
	if args.MaxReplans == nil {
		args.MaxReplans = ptr.To[int32](defaultMaxReplans)
	}
	if args.Sources == nil {
		args.Sources = DefaultSources()
	}
	if args.SearchBudget == nil {
		args.SearchBudget = ptr.To[int64](0)
	}
}

// SetTopologyDefaults fills the fields of TopologyArgs that were not written.
func SetTopologyDefaults(args *TopologyArgs) {
	if args.Preset == nil && args.Levels == nil {
		args.Preset = ptr.To(defaultPreset)
	}
	for i := range args.Levels {
		if args.Levels[i].Boundary == nil {
			args.Levels[i].Boundary = ptr.To(false)
		}
	}
}

// SetDRAAwareDefaults fills the fields of DRAAwareArgs that were not written.
func SetDRAAwareDefaults(args *DRAAwareArgs) {
	setDuration(&args.FilterTimeout, defaultFilterTimeout)
	setDuration(&args.BindingTimeout, defaultBindingTimeout)
}

func setDuration(field **metav1.Duration, value time.Duration) {
	if *field == nil {
		*field = &metav1.Duration{Duration: value}
	}
}

func setString(field **string, value string) {
	if *field == nil {
		*field = &value
	}
}
