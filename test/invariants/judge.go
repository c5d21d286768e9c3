// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
)

// judge is the checker without its watches. Its input is changes and their times; its
// output is violations. It has no clock and no lock of its own.
type judge struct {
	schedulers sets.Set[string]
	grace      time.Duration
	settle     time.Duration
	placement  time.Duration
	minRuntime time.Duration

	pods         map[types.UID]*v1.Pod
	gangs        map[gangKey]*gang
	declarations map[gangKey]declaration
	// together holds the LeaderWorkerSets that start leader and workers together.
	together        map[gangKey]bool
	composites      map[gangKey]composite
	hierarchies     map[gangKey]*hierarchy
	nodes           map[string]*nodeHistory
	onNode          map[string]map[types.UID]*v1.Pod
	claims          map[claimKey]*claim
	deviceUses      map[deviceID][]deviceUse
	publishedSlices map[poolID]map[types.UID]*resourceapi.ResourceSlice
	nominated       map[types.UID]*nomination

	// goneSlices are deleted ResourceSlices, kept for the time Options.Settle.
	goneSlices []goneSlice
	// twice has the pairs of claims with the same device that were reported.
	twice sets.Set[string]
	// listing is true while a complete list of a kind replaces the objects that the checker
	// knows. The order of objects in a list is not the order in which they changed.
	listing bool
	outages
	preemption

	suspicions []suspicion
	bindings   int
	violations []Violation
}

// suspicion is a possible violation that a later event of another watch may refute:
// watches of different kinds have no common order.
type suspicion struct {
	at      time.Time
	subject string
	// problem describes the violation according to the present state. It returns "" if the
	// present state refutes the suspicion.
	problem func() string
	// evidence is called once, at the start of the suspicion.
	evidence func() []string
	recorded []string
}

func newJudge(options Options) *judge {
	return &judge{
		schedulers:      sets.New(options.SchedulerNames...),
		grace:           options.Grace,
		settle:          options.Settle,
		placement:       options.Placement,
		minRuntime:      options.MinRuntime,
		pods:            map[types.UID]*v1.Pod{},
		gangs:           map[gangKey]*gang{},
		declarations:    map[gangKey]declaration{},
		together:        map[gangKey]bool{},
		composites:      map[gangKey]composite{},
		hierarchies:     map[gangKey]*hierarchy{},
		nodes:           map[string]*nodeHistory{},
		onNode:          map[string]map[types.UID]*v1.Pod{},
		claims:          map[claimKey]*claim{},
		deviceUses:      map[deviceID][]deviceUse{},
		publishedSlices: map[poolID]map[types.UID]*resourceapi.ResourceSlice{},
		nominated:       map[types.UID]*nomination{},
		twice:           sets.New[string](),
		preemption:      newPreemption(),
	}
}

// judges reports whether the pod's scheduler is one of Options.SchedulerNames.
func (j *judge) judges(pod *v1.Pod) bool {
	return j.schedulers.Has(pod.Spec.SchedulerName)
}

// suspect adds a suspicion unless the present state refutes it.
func (j *judge) suspect(c suspicion) {
	if c.problem() != "" {
		c.recorded = c.evidence()
		j.suspicions = append(j.suspicions, c)
	}
}

// list begins (on) or ends a complete list of a kind. A pod that got its node before a list
// counts only as load on the node, as in the first list: its binding is not judged.
func (j *judge) list(on bool, now time.Time) {
	j.listing = on
	if !on {
		j.listed(now)
	}
}

// settleSuspicions drops refuted suspicions. It reports and drops those older than settle.
func (j *judge) settleSuspicions(now time.Time) {
	j.suspicions = slices.DeleteFunc(j.suspicions, func(c suspicion) bool {
		refusal := c.problem()
		if refusal != "" && j.uptime(c.at, now) > j.settle {
			j.report(NothingTwice, now, c.subject+" "+refusal, c.recorded)
		}
		return refusal == "" || j.uptime(c.at, now) > j.settle
	})
}

func (j *judge) report(invariant Invariant, now time.Time, sentence string, evidence []string) {
	j.violations = append(j.violations, Violation{Invariant: invariant, At: now, Sentence: sentence, Evidence: evidence})
}

// declaration returns the minimum of a gang, from its object or from its pods. known is false
// if none of them declares it.
func (j *judge) declaration(g *gang) (declared declaration, known bool) {
	if read, byPods := declaredByPod[g.key.source]; byPods {
		return j.declaredByPods(g, read)
	}
	declared, known = j.declarations[g.key]
	return declared, known
}

// declaredByPods returns the largest minimum of each role that the pods declare, without pods
// that are finished or being deleted.
func (j *judge) declaredByPods(g *gang, read func(*v1.Pod) quorum) (declaration, bool) {
	least := quorum{}
	for _, m := range g.members {
		if m.pod.DeletionTimestamp != nil || finished(m.pod) {
			continue
		}
		for r, n := range read(m.pod) {
			least[r] = max(least[r], n)
		}
	}
	declared := declaration{least: least}
	if g.key.source == fromLeaderWorkerSet {
		declared.ended = !j.startsTogether(g)
	}
	return declared, len(least) > 0
}

// startsTogether reports whether the LeaderWorkerSet of a group exists and starts leader and
// workers together. The groups of other LeaderWorkerSets are not judged.
func (j *judge) startsTogether(g *gang) bool {
	set, _, _ := strings.Cut(g.key.name, "/")
	return j.together[gangKey{source: fromLeaderWorkerSet, namespace: g.key.namespace, name: set}]
}

func (j *judge) gangOf(pod *v1.Pod) *gang {
	key, _, isMember := membership(pod)
	if !isMember {
		return nil
	}
	return j.gangs[key]
}

func (j *judge) lastBind(pod *v1.Pod) time.Time {
	if g := j.gangOf(pod); g != nil {
		return g.lastBind
	}
	return time.Time{}
}

// nomination is a nominatedNodeName of a pod without a node.
type nomination struct {
	since    time.Time
	reported bool
}
