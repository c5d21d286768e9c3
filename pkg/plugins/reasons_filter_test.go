// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins_test

import (
	"context"
	"errors"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
)

// teamLabel is the label of the pods that the plugin TeamsApart keeps apart.
const teamLabel = "example.com/team"

// teamsApart is a Filter plugin that the planner does not know: pods of different teams do
// not share a node.
type teamsApart struct{}

func (teamsApart) Name() string { return "TeamsApart" }

func (teamsApart) Filter(_ context.Context, _ fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	isOther := func(added fwk.PodInfo) bool { return added.GetPod().Labels[teamLabel] != pod.Labels[teamLabel] }
	if slices.ContainsFunc(info.GetPods(), isOther) {
		return fwk.NewStatus(fwk.Unschedulable, "another team is on the node")
	}
	return nil
}

// keepTeamsApart adds the plugin TeamsApart to the scheduler's profile.
func (s *scene) keepTeamsApart() {
	s.filter = teamsApart{}
}

// slowSearch is a Filter plugin that finds nothing on any node, and takes long.
type slowSearch struct {
	takes time.Duration
	// fails is set if the search on a node ends with an error.
	fails bool
}

func (slowSearch) Name() string { return "SlowSearch" }

func (f slowSearch) Filter(ctx context.Context, _ fwk.CycleState, _ *v1.Pod, _ fwk.NodeInfo) *fwk.Status {
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
	}
	if f.fails {
		return fwk.AsStatus(errors.New("the search timed out"))
	}
	return fwk.NewStatus(fwk.Unschedulable, "nothing found")
}

// enableFilter adds the scene's own Filter plugin to a profile.
func (s *scene) enableFilter(profile *schedulerconfig.KubeSchedulerProfile) {
	if s.filter != nil {
		profile.Plugins.Filter.Enabled = append(profile.Plugins.Filter.Enabled, schedulerconfig.Plugin{Name: s.filter.Name()})
	}
}

// newFilter returns the scene's own Filter plugin.
func (s *scene) newFilter(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	return s.filter, nil
}

// filterReasons are about filters that the planner does not know.
var filterReasons = []reason{
	{title: "A filter that the planner does not know refuses every plan", before: func(s *scene) {
		s.keepTeamsApart()
		s.nodes("shape=plain,spines=1,leaves=1,nodes=2")
		s.group("train", 5)
		s.pods("train-a", 3, inGroup("train"), label(teamLabel, "a"), cpu("16"))
		s.pods("train-b", 2, inGroup("train"), label(teamLabel, "b"), cpu("8"))
	}},
	{title: "The search gives up after an unknown filter refused plans", before: func(s *scene) {
		s.keepTeamsApart()
		s.gangArgs = append(s.gangArgs, "searchBudget: 400")
		s.nodes(plain)
		s.group("train", 23)
		s.pods("train-a", 10, inGroup("train"), label(teamLabel, "a"), cpu("10"))
		s.pods("train-b", 13, inGroup("train"), label(teamLabel, "b"), cpu("9"))
	}},
	{title: "A filter fails after a slow search", before: func(s *scene) {
		s.filter = slowSearch{takes: 100 * time.Millisecond, fails: true}
		s.nodes(plain)
		s.group("train", 2)
		s.pods("train", 2, inGroup("train"))
	}},
	{title: "Slow filters take longer than a plan may", before: func(s *scene) {
		s.filter = slowSearch{takes: 6 * time.Second}
		s.nodes(plain)
		s.group("train", 2)
		s.pods("train", 2, inGroup("train"))
	}},
}
