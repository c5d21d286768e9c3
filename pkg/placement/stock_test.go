// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/interpodaffinity"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	schedulermetrics "k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// Environment variables of TestStockFiltersJudge: the number of worlds, the seed, the only
// world to judge, and the only things that members ask for (see asks).
const (
	judgedEnv      = "JUDGE_GANGS"
	judgeSeedEnv   = "JUDGE_SEED"
	judgeNumberEnv = "JUDGE_NUMBER"
	judgeAsksEnv   = "JUDGE_ASKS"
)

func number(t *testing.T, env string, otherwise int) int {
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// maxLessons ends the planning of a gang that the filters refuse again and again.
const maxLessons = 30

// schedule is the scheduling of one gang, as the plugin Gang does it, until all members
// are placed or the gang is refused.
type schedule struct {
	t       *testing.T
	w       *world
	s       *stockFilters
	rnd     *rand.Rand
	tracker *gangstate.Tracker
	placer  *placement.Placer
	active  []*v1.Pod
	// inFlight is the member whose cycle runs. again is true if it was activated meanwhile.
	inFlight *v1.Pod
	again    bool
	now      time.Time
	// refusal is set if the gang was refused. lessons has the filter of each refusal of a
	// planned node. trace tells what happened.
	refusal string
	lessons []string
	trace   []string
}

func newSchedule(t *testing.T, w *world, s *stockFilters, rnd *rand.Rand) *schedule {
	profile := &cluster.Profile{}
	profile.SetLevels([]cluster.Level{{Name: "zone", NodeLabel: zoneKey}})
	return &schedule{
		t: t, w: w, s: s, rnd: rnd, now: time.Now(),
		placer: placement.New(s, profile, placement.Options{SearchBudget: 1 << 18, MaxBypass: time.Minute, Volumes: s.storage(), Namespaces: s.namespaces()}),
		tracker: gangstate.New(gangstate.Options{
			Profile: judgedProfile, Sources: gangs.Sources{source{w}}, Exists: func(*v1.Pod) bool { return true }, MaxReplans: maxLessons,
		}),
	}
}

// run schedules the gang.
func (r *schedule) run() {
	for _, pod := range r.w.members {
		r.tracker.Upsert(pod, r.now)
	}
	r.activate(r.w.pending())
	for len(r.active) > 0 && r.refusal == "" && len(r.lessons) < maxLessons {
		i := r.rnd.IntN(len(r.active))
		pod := r.active[i]
		r.active = slices.Delete(r.active, i, i+1)
		r.inFlight, r.again = pod, false
		r.cycle(pod)
		if r.inFlight = nil; r.again {
			r.activate([]*v1.Pod{pod})
		}
	}
}

func (r *schedule) activate(pods []*v1.Pod) {
	for _, pod := range pods {
		r.again = r.again || pod == r.inFlight
		if pod != r.inFlight && r.s.pods[pod.UID] == nil && !slices.Contains(r.active, pod) {
			r.active = append(r.active, pod)
		}
	}
}

// cycle runs the scheduling cycle of a member.
func (r *schedule) cycle(pod *v1.Pod) {
	key := r.w.gang.Key
	step := r.tracker.NextStep(key, pod.UID, pod.Name, r.now)
	if step.Plan != nil {
		answer := r.plan(step.Plan)
		step = r.tracker.Resolve(step.Plan, &answer, pod.UID, r.now)
		if !answer.Placed && !r.w.quorate(r.s) {
			r.refusal = answer.Refusal
		}
	}
	r.apply(step.Effects)
	if step.Node == "" {
		return
	}
	c := r.s.begin(pod)
	if status := c.filter(step.Node); !status.IsSuccess() {
		if status.AsError() != nil && status.Plugin() == "" && !status.IsRejected() {
			r.t.Fatal(status.AsError())
		}
		lesson := fmt.Sprintf("%s refused on %s by %s: %s", pod.Name, step.Node, status.Plugin(), status.Message())
		r.lessons, r.trace = append(r.lessons, status.Plugin()), append(r.trace, lesson)
		r.apply(r.tracker.FilterRefused(key, pod, step.Node, lesson, r.now))
		return
	}
	if err := c.reserve(step.Node); err != nil {
		r.t.Fatal(err)
	}
	r.trace = append(r.trace, pod.Name+" on "+step.Node)
	r.apply(r.tracker.Reserve(key, pod.UID, step.Node))
	if permit, attempt := r.tracker.Permit(key, pod.UID); permit == gangstate.PermitComplete {
		effects, _ := r.tracker.Open(attempt)
		r.apply(effects)
	}
}

func (r *schedule) plan(question *gangstate.Question) gangstate.Answer {
	out, err := r.placer.Place(r.s.ctx, question.Request, r.s.infos())
	if err != nil {
		r.t.Fatal(err)
	}
	r.trace = append(r.trace, fmt.Sprintf("planned %v %v order %v with limits %v: %s", out.Placed, out.Assignment.Nodes, out.Assignment.Order, question.Limits, out.Refusal))
	return gangstate.Answer{Placed: out.Placed, Assignment: out.Assignment, Surplus: out.Surplus, Refusal: out.Refusal, Searched: out.Searched}
}

// apply applies the effects of a step. Members release their nodes at once.
func (r *schedule) apply(effects gangstate.Effects) {
	r.activate(effects.Activate)
	attempt := effects.Release
	if attempt == nil {
		return
	}
	holders, _ := r.tracker.Holders(attempt)
	for _, uid := range holders {
		pod := r.member(uid)
		node := r.s.pods[uid].Spec.NodeName
		r.s.unreserve(pod)
		r.apply(r.tracker.Unreserve(attempt.Key, pod, node, r.now))
	}
	r.apply(r.tracker.Released(attempt, r.now))
}

func (r *schedule) member(uid types.UID) *v1.Pod {
	return r.w.members[slices.IndexFunc(r.w.members, func(pod *v1.Pod) bool { return pod.UID == uid })]
}

// verdict is what the stock filters say of the scheduling of a gang.
type verdict struct {
	placed    bool
	lessons   []string
	undecided bool
	// unlucky reports a refusal after lessons that a fortunate order would have avoided.
	unlucky bool
	// fault is the kind of disagreement, "" for none.
	fault, detail string
	trace         []string
}

// judge schedules the gang of a world and compares the result with the stock filters.
func judge(t *testing.T, w *world, seed uint64) (v verdict) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newStockFilters(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r := newSchedule(t, w, s, rand.New(rand.NewPCG(seed, 7)))
		r.run()
		v.placed, v.lessons, v.trace = w.quorate(s), r.lessons, r.trace
		switch {
		case v.placed:
			v.fault, v.detail = judgeTogether(r)
		case r.refusal == "":
			v.fault = fmt.Sprintf("neither placed nor refused after %d lessons", len(r.lessons))
		}
		if !v.placed {
			judgeRefusal(r, &v)
		}
	})
	return v
}

// judgeTogether returns which filter refuses a placed member beside all others. Spread and
// affinity look at the members before it only.
func judgeTogether(r *schedule) (fault, detail string) {
	for _, pod := range r.w.pending() {
		if r.s.pods[pod.UID] == nil {
			continue
		}
		status := r.s.withoutSelf(pod)
		if status.IsSuccess() {
			continue
		}
		ordered := status.Plugin() == names.PodTopologySpread || status.Plugin() == names.InterPodAffinity &&
			status.Message() == interpodaffinity.ErrReasonAffinityRulesNotMatch
		if !ordered {
			return "refused beside all others by " + status.Plugin(), pod.Name + ": " + status.Message()
		}
	}
	return "", ""
}

// judgeRefusal searches for a placement of a gang that was refused.
func judgeRefusal(r *schedule, v *verdict) {
	for _, pod := range r.w.pending() {
		if r.s.pods[pod.UID] != nil {
			r.s.unreserve(pod)
		}
	}
	x := &search{s: r.s, w: r.w, failed: map[string]bool{}, steps: 50000}
	found, err := x.find()
	switch {
	case errors.Is(err, errSearch):
		v.undecided = true
	case err != nil:
		r.t.Fatal(err)
	case found && v.fault == "" && len(r.lessons) == 0:
		v.fault = "refused though a placement exists"
	case found && v.fault == "" && r.w.needsLuck() && !slices.ContainsFunc(r.lessons, func(by string) bool { return by != names.VolumeBinding }):
		v.unlucky = true
	case found && v.fault == "":
		v.fault = "refused after lessons though a placement exists"
	}
	if found {
		v.detail = fmt.Sprintf("%s; the filters accept %v", r.refusal, x.order)
	}
}

// The stock filters accept what Dovetail places. What it refuses has no order and no nodes
// that they accept.
func TestStockFiltersJudge(t *testing.T) {
	schedulermetrics.Register()
	seed := uint64(number(t, judgeSeedEnv, 20261129))
	only := asks(number(t, judgeAsksEnv, int(allAsks)))
	if n := number(t, judgeNumberEnv, -1); n >= 0 {
		v := judge(t, drawWorld(seed, uint64(n), only), uint64(n))
		t.Logf("%+v", v)
		if v.fault != "" {
			reportFault(t, v, seed, uint64(n), only)
		}
		return
	}
	var all tally
	for n := range uint64(number(t, judgedEnv, 250)) {
		v := judge(t, drawWorld(seed, n, only), n)
		all.add(v)
		if len(v.lessons) > 0 {
			t.Logf("world %d: lessons by %v", n, v.lessons)
		}
		if v.fault != "" {
			reportFault(t, v, seed, n, only)
		}
	}
	t.Logf("seed %d: %s", seed, all.describe())
	all.check(t)
}
