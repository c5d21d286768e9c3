// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
)

// judge is the checker without its watches: it is told what changed and when,
// and keeps what it found. It has no clock and no lock of its own.
type judge struct {
	schedulers sets.Set[string]
	grace      time.Duration
	settle     time.Duration

	pods         map[types.UID]*v1.Pod
	gangs        map[gangKey]*gang
	declarations map[gangKey]declaration
	composites   map[gangKey]composite
	trees        map[gangKey]*tree
	nodes        map[string]*nodeHistory
	onNode       map[string]map[types.UID]*v1.Pod
	claims       map[claimKey]*claim
	users        map[deviceID][]use
	offered      map[poolID]map[types.UID]*resourceapi.ResourceSlice
	nominated    map[types.UID]*nomination

	charges    []charge
	bindings   int
	violations []Violation
}

// charge is an accusation that a later event of another watch may still refute:
// watches of different kinds are not ordered among each other.
type charge struct {
	at      time.Time
	accused string
	// refusal says what is wrong by all that is known now; empty acquits.
	refusal func() string
	// evidence is asked for once, when the charge is raised.
	evidence func() []string
	recorded []string
}

func newJudge(options Options) *judge {
	return &judge{
		schedulers:   sets.New(options.SchedulerNames...),
		grace:        options.Grace,
		settle:       options.Settle,
		pods:         map[types.UID]*v1.Pod{},
		gangs:        map[gangKey]*gang{},
		declarations: map[gangKey]declaration{},
		composites:   map[gangKey]composite{},
		trees:        map[gangKey]*tree{},
		nodes:        map[string]*nodeHistory{},
		onNode:       map[string]map[types.UID]*v1.Pod{},
		claims:       map[claimKey]*claim{},
		users:        map[deviceID][]use{},
		offered:      map[poolID]map[types.UID]*resourceapi.ResourceSlice{},
		nominated:    map[types.UID]*nomination{},
	}
}

// podChanged takes in one event of the pod watch; was is nil for a new pod, is
// for a deleted one.
func (j *judge) podChanged(was, is *v1.Pod, now time.Time) {
	if was != nil {
		delete(j.pods, was.UID)
		delete(j.onNode[was.Spec.NodeName], was.UID)
	}
	if is != nil {
		j.pods[is.UID] = is
		j.load(is)
	}
	j.noteNomination(was, is, now)
	j.updateGang(was, is, now)
	if was != nil && is != nil && was.Spec.NodeName == "" && is.Spec.NodeName != "" && j.judges(is) {
		j.bindings++
		j.judgeBinding(is, now)
	}
}

// judges says whether a pod is of a scheduler under judgement.
func (j *judge) judges(pod *v1.Pod) bool {
	return j.schedulers.Has(pod.Spec.SchedulerName)
}

// load counts a pod on its node.
func (j *judge) load(pod *v1.Pod) {
	if !occupies(pod) {
		return
	}
	if j.onNode[pod.Spec.NodeName] == nil {
		j.onNode[pod.Spec.NodeName] = map[types.UID]*v1.Pod{}
	}
	j.onNode[pod.Spec.NodeName][pod.UID] = pod
}

// updateGang keeps the members of a pod's gang and notices when it is whole.
func (j *judge) updateGang(was, is *v1.Pod, now time.Time) {
	pod := is
	if pod == nil {
		pod = was
	}
	key, role, isMember := membership(pod)
	if !isMember || !j.judges(pod) {
		return
	}
	g := j.gangs[key]
	if g == nil {
		g = &gang{key: key, members: map[types.UID]*member{}}
		j.gangs[key] = g
	}
	if is == nil {
		delete(g.members, was.UID)
	} else {
		g.update(is, role, now)
	}
	j.noteWhole(g)
	if key.source == fromPodGroup {
		j.noteTrees()
	}
	if len(g.members) == 0 {
		delete(j.gangs, key)
	}
}

// update takes in a member's new state.
func (g *gang) update(pod *v1.Pod, as role, now time.Time) {
	m := g.members[pod.UID]
	if m == nil {
		m = &member{}
		g.members[pod.UID] = m
	}
	m.pod, m.role = pod, as
	if pod.Spec.NodeName != "" && m.bound.IsZero() {
		m.bound, g.lastBind = now, now
	}
}

// rayClusterChanged, jobChanged and coschedulingChanged take in one event of a gang's object.
func (j *judge) rayClusterChanged(was, is *unstructured.Unstructured, _ time.Time) {
	key := func(u *unstructured.Unstructured) gangKey {
		return gangKey{fromRayCluster, u.GetNamespace(), u.GetName(), u.GetUID()}
	}
	j.declare(was, is, key, declaredByRayCluster)
}

func (j *judge) jobChanged(was, is *unstructured.Unstructured, _ time.Time) {
	key := func(u *unstructured.Unstructured) gangKey {
		return gangKey{fromJob, u.GetNamespace(), u.GetName(), u.GetUID()}
	}
	j.declare(was, is, key, declaredByJob)
}

func (j *judge) coschedulingChanged(was, is *unstructured.Unstructured, _ time.Time) {
	key := func(u *unstructured.Unstructured) gangKey {
		return gangKey{source: fromCoscheduling, namespace: u.GetNamespace(), name: u.GetName()}
	}
	j.declare(was, is, key, declaredByCoscheduling)
}

// podGroupChanged takes in an add, update or delete of a PodGroup of Kubernetes itself.
func (j *judge) podGroupChanged(was, is *unstructured.Unstructured, _ time.Time) {
	key := func(u *unstructured.Unstructured) gangKey {
		return gangKey{source: fromPodGroup, namespace: u.GetNamespace(), name: u.GetName()}
	}
	j.declare(was, is, key, declaredByPodGroup)
}

func (j *judge) declare(was, is *unstructured.Unstructured, keyOf func(*unstructured.Unstructured) gangKey,
	read func(*unstructured.Unstructured) declaration) {
	if is == nil {
		key := keyOf(was)
		j.declarations[key] = declaration{least: j.declarations[key].least, ended: true}
		return
	}
	key := keyOf(is)
	j.declarations[key] = read(is)
	if g := j.gangs[key]; g != nil {
		j.noteWhole(g)
	}
}

// timePassed judges what depends on time. It goes through everything in no
// order; readers of violations sort them.
func (j *judge) timePassed(now time.Time) {
	j.settleCharges(now)
	for _, g := range j.gangs {
		j.judgeWhole(g, now)
	}
	j.judgeTrees(now)
	j.judgeHeldClaims(now)
	j.judgeNominations(now)
	for _, history := range j.nodes {
		history.forget(now.Add(-j.settle))
	}
}

// charge raises an accusation unless it is refuted already.
func (j *judge) charge(c charge) {
	if c.refusal() != "" {
		c.recorded = c.evidence()
		j.charges = append(j.charges, c)
	}
}

// settleCharges drops what was refuted and reports what stood for Settle.
func (j *judge) settleCharges(now time.Time) {
	j.charges = slices.DeleteFunc(j.charges, func(c charge) bool {
		refusal := c.refusal()
		if refusal != "" && now.Sub(c.at) > j.settle {
			j.report(NothingTwice, now, c.accused+" "+refusal, c.recorded)
		}
		return refusal == "" || now.Sub(c.at) > j.settle
	})
}

func (j *judge) report(invariant Invariant, now time.Time, sentence string, evidence []string) {
	j.violations = append(j.violations, Violation{Invariant: invariant, At: now, Sentence: sentence, Evidence: evidence})
}

func podName(pod *v1.Pod) string {
	return fmt.Sprintf("pod %s/%s", pod.Namespace, pod.Name)
}

// joined lists words in a sentence.
func joined(words []string) string {
	return strings.Join(words, ", ")
}
