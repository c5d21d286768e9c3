// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	schedulermetrics "k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/placement"
)

const (
	ownFilter  = "House"
	ownMessage = "the house rules forbid it"
)

// houseRule reports whether a pod may be on a node. beside are the other pods of the gang by
// the name of their node.
type houseRule func(pod *v1.Pod, node *v1.Node, beside map[string][]*v1.Pod) bool

// house is a Filter plugin with a rule that the planner does not know. It counts the pods of
// a gang on all nodes in PreFilter, as the stock plugins do.
type house struct {
	handle fwk.Handle
	rule   houseRule
	// prepared and filtered count calls.
	prepared, filtered *int
}

// besidePods are the pods of a gang by node.
type besidePods map[string][]*v1.Pod

func (b besidePods) Clone() fwk.StateData {
	c := besidePods{}
	for node, pods := range b {
		c[node] = slices.Clone(pods)
	}
	return c
}

func (h *house) Name() string { return ownFilter }

func (h *house) PreFilter(_ context.Context, state fwk.CycleState, _ *v1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	*h.prepared++
	beside := besidePods{}
	for _, info := range nodes {
		for _, added := range info.GetPods() {
			if pod := added.GetPod(); roleOf(pod) != "" {
				beside[info.Node().Name] = append(beside[info.Node().Name], pod)
			}
		}
	}
	state.Write(ownFilter, beside)
	return nil, nil
}

func (h *house) PreFilterExtensions() fwk.PreFilterExtensions { return h }

func (h *house) AddPod(_ context.Context, state fwk.CycleState, _ *v1.Pod, added fwk.PodInfo, info fwk.NodeInfo) *fwk.Status {
	data, err := state.Read(ownFilter)
	if err != nil {
		return fwk.AsStatus(err)
	}
	beside := data.(besidePods)
	beside[info.Node().Name] = append(beside[info.Node().Name], added.GetPod())
	return nil
}

func (h *house) RemovePod(context.Context, fwk.CycleState, *v1.Pod, fwk.PodInfo, fwk.NodeInfo) *fwk.Status {
	return fwk.AsStatus(errors.New("no pod is removed"))
}

func (h *house) Filter(_ context.Context, state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	*h.filtered++
	data, err := state.Read(ownFilter)
	if err != nil {
		return fwk.AsStatus(err)
	}
	if !h.rule(pod, info.Node(), data.(besidePods)) {
		return fwk.NewStatus(fwk.Unschedulable, ownMessage)
	}
	return nil
}

// noSharedTeam forbids members of different roles with the same team on one node.
func noSharedTeam(pod *v1.Pod, node *v1.Node, beside map[string][]*v1.Pod) bool {
	return !slices.ContainsFunc(beside[node.Name], func(o *v1.Pod) bool {
		return roleOf(o) != roleOf(pod) && o.Labels["team"] == pod.Labels["team"]
	})
}

// oneRack forbids nodes of rack x while a member is in rack y, and the reverse.
func (w *world) oneRack(_ *v1.Pod, node *v1.Node, beside map[string][]*v1.Pod) bool {
	for _, other := range w.nodes {
		racks := node.Labels[rackKey] + other.Labels[rackKey]
		if len(beside[other.Name]) > 0 && (racks == "xy" || racks == "yx") {
			return false
		}
	}
	return true
}

// onceInRack forbids a second member of role1 in rack x.
func (w *world) onceInRack(pod *v1.Pod, node *v1.Node, beside map[string][]*v1.Pod) bool {
	if roleOf(pod) != "role1" || node.Labels[rackKey] != "x" {
		return true
	}
	for _, other := range w.nodes {
		isSecond := func(o *v1.Pod) bool { return roleOf(o) == "role1" && other.Labels[rackKey] == "x" }
		if slices.ContainsFunc(beside[other.Name], isSecond) {
			return false
		}
	}
	return true
}

// roles gives the world's members roles of these sizes.
func (w *world) roles(sizes ...int) {
	w.gang.Roles, w.gang.Min = nil, len(w.members)
	next := 0
	for r, size := range sizes {
		name := fmt.Sprint("role", r)
		w.gang.Roles = append(w.gang.Roles, role{Name: name, Min: size, Want: size})
		for range size {
			w.members[next].Labels[roleLabel] = name
			next++
		}
	}
}

func (w *world) racks(racks string) {
	for i := range racks {
		w.nodes[i].Labels[rackKey] = racks[i : i+1]
	}
}

// placedInWorld plans the gang of a world once, with a filter that has the rule.
func placedInWorld(t *testing.T, w *world, rule houseRule, budget int) (out placement.Outcome, h *house) {
	synctest.Test(t, func(t *testing.T) {
		h = &house{rule: rule, prepared: new(int), filtered: new(int)}
		if rule != nil {
			w.plugins = frameworkruntime.Registry{ownFilter: func(_ context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
				h.handle = handle
				return h, nil
			}}
		}
		s, err := newStockFilters(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		profile := &cluster.Profile{}
		profile.SetLevels([]cluster.Level{{Name: "zone", NodeLabel: zoneKey}})
		placer := placement.New(s, profile, placement.Options{
			SearchBudget: budget, MaxBypass: time.Minute, Volumes: s.storage(), Namespaces: s.namespaces(), UnknownFilters: func() bool { return rule != nil },
		})
		if out, err = placer.Place(s.ctx, w.request(), s.infos()); err != nil {
			t.Fatal(err)
		}
		if out.Placed {
			acceptedInOrder(t, s, w, &out)
		}
	})
	return out, h
}

// acceptedInOrder checks that the members' own cycles accept their planned nodes.
func acceptedInOrder(t *testing.T, s *stockFilters, w *world, out *placement.Outcome) {
	members := slices.SortedStableFunc(slices.Values(w.members), func(a, b *v1.Pod) int {
		return out.Assignment.Order[a.UID] - out.Assignment.Order[b.UID]
	})
	for _, pod := range members {
		c := s.begin(pod)
		if status := c.filter(out.Assignment.Nodes[pod.UID]); !status.IsSuccess() {
			t.Errorf("%s is refused on %s by %s: %s", pod.Name, out.Assignment.Nodes[pod.UID], status.Plugin(), status.Message())
			return
		}
		if err := c.reserve(out.Assignment.Nodes[pod.UID]); err != nil {
			t.Fatal(err)
		}
	}
}

// The planner does not know the rule of a filter. It learns from the refusals of whole plans
// until the filter accepts one, before any member is reserved.
func TestProofLearnsUnknownRules(t *testing.T) {
	schedulermetrics.Register()
	tests := map[string]struct {
		nodes, members int
		lessons        int // at least
		prepare        func(*world)
		rule           func(*world) houseRule
	}{
		"roles of one team apart on each node": {
			nodes: 6, members: 6, lessons: 4, prepare: func(w *world) { w.roles(3, 3) },
			rule: func(*world) houseRule { return noSharedTeam },
		},
		"a pair of roles on one of many nodes": {
			nodes: 40, members: 2, lessons: 4, prepare: func(w *world) {
				w.roles(1, 1)
				w.nodes[37].Labels["quiet"] = "yes"
				w.gang.Topology.Required = "node"
			},
			rule: func(*world) houseRule {
				return func(pod *v1.Pod, node *v1.Node, beside map[string][]*v1.Pod) bool {
					return node.Labels["quiet"] != "" || noSharedTeam(pod, node, beside)
				}
			},
		},
		"racks that exclude each other": {
			nodes: 8, members: 8, lessons: 4, prepare: func(w *world) {
				w.roles(4, 4)
				w.racks("xxyyxxyy")
			},
			rule: func(w *world) houseRule { return w.oneRack },
		},
		"one member of a role in a rack": {
			nodes: 8, members: 5, lessons: 1, prepare: func(w *world) {
				w.roles(1, 4)
				w.racks("xxxxzzzz")
			},
			rule: func(w *world) houseRule { return w.onceInRack },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(tc.nodes, tc.members)
			tc.prepare(w)
			out, h := placedInWorld(t, w, tc.rule(w), 1<<18)
			if !out.Placed || out.Lessons < tc.lessons {
				t.Fatalf("placed %v after %d lessons, want after at least %d: %s", out.Placed, out.Lessons, tc.lessons, out.Refusal)
			}
			t.Logf("%d lessons, %d PreFilter runs and %d filter runs for %v", out.Lessons, *h.prepared, *h.filtered, slices.Sorted(maps.Values(out.Assignment.Nodes)))
		})
	}
}

// The planner knows which members a term keeps apart that selects their namespace by label: the
// filters refuse nothing.
func TestTermsThatSelectNamespacesArePlanned(t *testing.T) {
	schedulermetrics.Register()
	for team, nodes := range map[string]int{"red": 6, "blue": 3} {
		w := newWorld(8, 6)
		w.roles(3, 3)
		w.objects = append(w.objects, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.gang.Key.Namespace, Labels: map[string]string{"team": "red"}}})
		for _, pod := range w.members {
			affinityOf(pod).PodAntiAffinity = &v1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{
				TopologyKey: v1.LabelHostname, LabelSelector: &metav1.LabelSelector{},
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": team}},
			}}}
		}
		out, _ := placedInWorld(t, w, nil, 1<<18)
		used := sets.New(slices.Collect(maps.Values(out.Assignment.Nodes))...)
		if !out.Placed || out.Lessons > 0 || used.Len() != nodes {
			t.Errorf("team %s: placed %v on %d nodes after %d lessons, want on %d after none: %s", team, out.Placed, used.Len(), out.Lessons, nodes, out.Refusal)
		}
	}
}

// A gang that a filter refuses in every placement gets a sentence that says so. If the search
// ends before that is known, the sentence says what was tried.
func TestProofFindsNoPlacement(t *testing.T) {
	schedulermetrics.Register()
	tests := map[string]struct {
		nodes, members int
		roles          []int
		differ         bool
		budget         int
		want           []string
	}{
		"proved": {
			nodes: 1, members: 2, roles: []int{1, 1}, budget: 1 << 18,
			want: []string{"1 of 2 members fit", "1 by House", ownMessage},
		},
		"members of a role have different labels": {
			nodes: 2, members: 4, roles: []int{1, 3}, differ: true, budget: 1 << 18,
			want: []string{"the search gave up after ", "the last by House of pod w-", "other placements may exist"},
		},
		"the budget ends": {
			nodes: 12, members: 24, roles: []int{11, 13}, budget: 600,
			want: []string{"the search gave up after ", "the last by House of pod w-", " beside w-", ownMessage, "raise searchBudget"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(tc.nodes, tc.members)
			w.roles(tc.roles...)
			if tc.differ {
				w.members[1].Labels["index"] = "1"
			}
			out, _ := placedInWorld(t, w, noSharedTeam, tc.budget)
			if out.Placed {
				t.Fatalf("placed on %v", out.Assignment.Nodes)
			}
			for _, part := range tc.want {
				if !strings.Contains(out.Refusal, part) {
					t.Errorf("%q is missing in: %s", part, out.Refusal)
				}
			}
			t.Log(out.Refusal)
		})
	}
}

// A gang pays for the proof only if its members may be in each other's way, and then with one
// PreFilter run for each role, not for each member.
func TestProofCosts(t *testing.T) {
	schedulermetrics.Register()
	prepared := map[string]int{}
	for name, prepare := range map[string]func(*v1.Pod){
		"nothing": func(*v1.Pod) {},
		"a host port": func(pod *v1.Pod) {
			pod.Spec.Containers[0].Ports = []v1.ContainerPort{{HostPort: 7000}}
		},
		"spread": func(pod *v1.Pod) {
			pod.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{
				MaxSkew: 1, TopologyKey: v1.LabelHostname, WhenUnsatisfiable: v1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: roleLabel, Operator: metav1.LabelSelectorOpExists}}},
			}}
		},
	} {
		w := newWorld(12, 12)
		w.roles(6, 6)
		for _, pod := range w.members {
			prepare(pod)
		}
		counted := &countingFilters{}
		w.wrap = counted.around
		if out, _ := placedInWorld(t, w, nil, 1<<18); !out.Placed {
			t.Fatalf("%s: %s", name, out.Refusal)
		}
		prepared[name] = counted.prefilters
	}
	want := map[string]int{"nothing": 2, "a host port": 2, "spread": 4}
	if diff := cmp.Diff(want, prepared); diff != "" {
		t.Errorf("PreFilter runs for two roles of 6 members (-want,+got):\n%s", diff)
	}
}

// countingFilters counts the PreFilter runs of plans.
type countingFilters struct {
	framework.Framework
	prefilters int
}

func (c *countingFilters) around(f framework.Framework) framework.Framework {
	c.Framework = f
	return c
}

func (c *countingFilters) RunPreFilterPlugins(ctx context.Context, state fwk.CycleState, pod *v1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string]) {
	if placement.IsDryRun(state) {
		c.prefilters++
	}
	return c.Framework.RunPreFilterPlugins(ctx, state, pod)
}
