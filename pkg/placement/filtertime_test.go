// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// slowHandle has a filter that takes a while and refuses every node, or fails.
type slowHandle struct {
	*handle
	takes time.Duration
	fails bool
	runs  int
}

func (h *slowHandle) RunFilterPlugins(context.Context, fwk.CycleState, *v1.Pod, fwk.NodeInfo) *fwk.Status {
	h.runs++
	time.Sleep(h.takes)
	if h.fails {
		return fwk.AsStatus(errors.New("the search has timed out"))
	}
	return fwk.NewStatus(fwk.Unschedulable, "no combination of devices").WithPlugin("DynamicResources")
}

// The search for a gang of one on four nodes ends with the first error of a filter, and when
// slow filters have taken ten seconds. Quick refusals end nothing.
func TestSlowFiltersEndThePlan(t *testing.T) {
	for name, test := range map[string]struct {
		takes time.Duration
		fails bool
		runs  int
		slow  bool
	}{
		"quick refusals":         {takes: time.Millisecond, runs: 4},
		"the first filter fails": {takes: time.Millisecond, fails: true, runs: 1},
		"the first fails late":   {takes: 10 * time.Second, fails: true, runs: 1, slow: true},
		"six seconds each":       {takes: 6 * time.Second, runs: 2, slow: true},
		"two seconds each":       {takes: 2 * time.Second, runs: 4},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			h := &slowHandle{handle: f.handle, takes: test.takes, fails: test.fails}
			placer := New(h, f.placer.profile, f.placer.options)
			synctest.Test(t, func(t *testing.T) {
				out, err := placer.Place(t.Context(), gangOf(1, 1), f.nodes)
				if (err != nil) != (test.fails && !test.slow) {
					t.Errorf("Place returns %v", err)
				}
				if slow := strings.Contains(out.Refusal, "too long"); slow != test.slow || out.Temporary != test.slow {
					t.Errorf("the refusal is %q, temporary %v, want one about slow filters: %v", out.Refusal, out.Temporary, test.slow)
				}
				if h.runs != test.runs {
					t.Errorf("the filters ran %d times, want %d", h.runs, test.runs)
				}
			})
		})
	}
}

// A pod without a gang goes to the ordinary cycle when slow filters have taken ten seconds.
func TestSlowFiltersLeaveASinglePodToItsCycle(t *testing.T) {
	f := newFixture(t)
	h := &slowHandle{handle: f.handle, takes: 6 * time.Second}
	synctest.Test(t, func(t *testing.T) {
		run := singleRun{ctx: t.Context(), handle: h, pod: cpuPod("single", "1", "")}
		for _, node := range f.nodes {
			if run.fits(0, node.Node().Name, 0) {
				t.Errorf("the pod fits on node %s", node.Node().Name)
			}
		}
		if h.runs != 2 || run.err != nil {
			t.Errorf("the filters ran %d times, with error %v, want twice and none", h.runs, run.err)
		}
	})
}
