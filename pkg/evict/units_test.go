// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package evict_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/evict"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// reader reads gangs by the label gang of their pods. Roles come from the label role.
type reader map[string]gangs.Gang

func (r reader) Member(pod *v1.Pod) (gangs.Member, bool) {
	name := pod.Labels["gang"]
	return gangs.Member{
		Key: gangs.Key{Source: "job", Namespace: pod.Namespace, Name: name}, Pod: pod, Role: pod.Labels["role"], Replica: pod.Labels["replica"],
	}, name != ""
}

func (r reader) Gang(key gangs.Key, _ []gangs.Member) (gangs.Gang, error) {
	gang, ok := r[key.Name]
	if !ok {
		return gangs.Gang{}, errors.New("no such gang")
	}
	gang.Key = key
	return gang, nil
}

type change func(*v1.Pod)

// pod returns a running pod that a controller would replace. It started an hour ago.
func pod(name string, priority int32, changes ...change) *v1.Pod {
	p := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ml", Name: name, UID: types.UID(name), Labels: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "r", Controller: ptr.To(true)}},
		},
		Spec:   v1.PodSpec{NodeName: "n", Priority: &priority, SchedulerName: "dovetail"},
		Status: v1.PodStatus{StartTime: &metav1.Time{Time: now.Add(-time.Hour)}},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func inGang(name, role string) change {
	return func(p *v1.Pod) { p.Labels["gang"], p.Labels["role"] = name, role }
}

func labelled(key, value string) change { return func(p *v1.Pod) { p.Labels[key] = value } }

func annotated(key, value string) change {
	return func(p *v1.Pod) { p.Annotations = map[string]string{key: value} }
}

func ownedBy(kind string) change { return func(p *v1.Pod) { p.OwnerReferences[0].Kind = kind } }

func deleted(ago time.Duration) change {
	return func(p *v1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now.Add(-ago)} }
}

func budget(name string, allowed int32, selects map[string]string) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: selects}},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed},
	}
}

func nodeWith(t *testing.T, pods ...*v1.Pod) []fwk.NodeInfo {
	t.Helper()
	info := framework.NewNodeInfo(pods...)
	info.SetNode(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	return []fwk.NodeInfo{info}
}

// shown is a unit as a line.
func shown(u *evict.Unit) string {
	line := u.Name + ":"
	for _, p := range u.Pods {
		line += " " + p.Info.GetPod().Name
	}
	for _, name := range u.After {
		line += " after " + name
	}
	if u.Leaving {
		line += ", leaving"
	}
	if u.Broken+u.Unowned+u.Breaches > 0 {
		line += fmt.Sprintf(", broken %d, unowned %d, breaches %d", u.Broken, u.Unowned, u.Breaches)
	}
	if u.Protected != "" {
		line += ", " + u.Protected
	}
	return line
}

func roles(min int, list ...gangs.Role) gangs.Gang { return gangs.Gang{Min: min, Roles: list} }

func TestUnits(t *testing.T) {
	declared := reader{
		"a": roles(2, gangs.Role{Name: "w", Min: 2}), "ray": roles(2, gangs.Role{Name: "head", Min: 1}, gangs.Role{Name: "w", Min: 1}),
		"hosts": roles(2, gangs.Role{Name: "w", Min: 2, Step: 2}), "single": {Min: 2, Roles: []gangs.Role{{Name: "w", Min: 2}}, Single: true},
		"limits": {Min: 1, Roles: []gangs.Role{{Name: "w", Min: 1}}, RunTime: gangs.RunTime{Minimum: 2 * time.Hour}},
		"nested": {Min: 1, Groups: []gangs.Group{{Name: "g"}}, Roles: []gangs.Role{{Name: "w", Min: 1}}},
	}
	tests := map[string]struct {
		rules   evict.Rules
		pods    []*v1.Pod
		budgets []*policyv1.PodDisruptionBudget
		list    []string
		kept    []string
	}{
		"only lower priority": {pods: []*v1.Pod{pod("low", 1), pod("same", 10), pod("high", 11)}, list: []string{"pod ml/low: low"}},
		"pods that nobody may evict": {
			pods: []*v1.Pod{
				pod("daemon", 1, ownedBy("DaemonSet")), pod("static", 1, ownedBy("Node")), pod("mirror", 1, annotated(v1.MirrorPodAnnotationKey, "x")),
				pod("dns", 1, func(p *v1.Pod) { p.Namespace = "kube-system" }),
			},
		},
		"only the profile's own": {
			rules: evict.Rules{Profile: "dovetail"},
			pods:  []*v1.Pod{pod("own", 1), pod("other", 1, func(p *v1.Pod) { p.Spec.SchedulerName = "default-scheduler" })}, list: []string{"pod ml/own: own"},
		},
		"leaving pods of any priority, not those that never end": {
			pods: []*v1.Pod{pod("going", 1, deleted(0)), pod("high", 99, deleted(time.Minute)), pod("stuck", 1, deleted(3*time.Minute))},
			list: []string{"pod ml/going: going, leaving", "pod ml/high: high, leaving"},
		},
		"leaving pods also where all have one priority": {
			pods: []*v1.Pod{pod("same", 10), pod("a-0", 10, inGang("a", "w")), pod("going", 10, deleted(0))}, list: []string{"pod ml/going: going, leaving"},
		},
		"a gang at its minimum leaves whole": {
			pods: []*v1.Pod{pod("a-0", 1, inGang("a", "w")), pod("a-1", 1, inGang("a", "w"))},
			list: []string{"gang job ml/a: a-0 a-1, broken 1, unowned 0, breaches 0"},
		},
		"members beyond the minimum leave first": {
			pods: []*v1.Pod{pod("a-0", 1, inGang("a", "w")), pod("a-1", 1, inGang("a", "w")), pod("a-2", 1, inGang("a", "w"))},
			list: []string{"pod ml/a-0: a-0", "gang job ml/a: a-1 a-2 after pod ml/a-0, broken 1, unowned 0, breaches 0"},
		},
		"each role keeps its minimum": {
			pods: []*v1.Pod{pod("head", 1, inGang("ray", "head")), pod("w-0", 1, inGang("ray", "w")), pod("w-1", 0, inGang("ray", "w"))},
			list: []string{"pod ml/w-1: w-1", "gang job ml/ray: head w-0 after pod ml/w-1, broken 1, unowned 0, breaches 0"},
		},
		"a replica of several hosts leaves together": {
			pods: []*v1.Pod{
				pod("h-0", 1, inGang("hosts", "w"), labelled("replica", "x")), pod("h-1", 1, inGang("hosts", "w"), labelled("replica", "y")),
				pod("h-2", 1, inGang("hosts", "w"), labelled("replica", "x")), pod("h-3", 1, inGang("hosts", "w"), labelled("replica", "y")),
			},
			list: []string{"pod ml/h-0: h-0 h-2", "gang job ml/hosts: h-1 h-3 after pod ml/h-0, broken 1, unowned 0, breaches 0"},
		},
		"members that may be disrupted one by one": {
			pods: []*v1.Pod{pod("s-0", 1, inGang("single", "w")), pod("s-1", 1, inGang("single", "w")), pod("s-2", 1, inGang("single", "w"))},
			list: []string{"pod ml/s-0: s-0", "pod ml/s-1: s-1, broken 1, unowned 0, breaches 0", "pod ml/s-2: s-2, broken 1, unowned 0, breaches 0"},
		},
		"one important member protects the gang": {
			pods: []*v1.Pod{pod("a-0", 10, inGang("a", "w")), pod("a-1", 1, inGang("a", "w")), pod("a-2", 1, inGang("a", "w"))},
			list: []string{"pod ml/a-1: a-1"},
		},
		"a gang of gangs and a gang without a declaration leave whole": {
			pods: []*v1.Pod{pod("n-0", 1, inGang("nested", "w")), pod("n-1", 1, inGang("nested", "w")), pod("u-0", 1, inGang("unknown", "w")), pod("u-1", 1, inGang("unknown", "w"))},
			list: []string{"gang job ml/nested: n-0 n-1, broken 1, unowned 0, breaches 0", "gang job ml/unknown: u-0 u-1, broken 1, unowned 0, breaches 0"},
		},
		"a daemon in a gang keeps it": {pods: []*v1.Pod{pod("a-0", 1, inGang("a", "w"), ownedBy("DaemonSet")), pod("a-1", 1, inGang("a", "w"))}},
		"minimum run time of the arguments, not for members beyond the minimum": {
			rules: evict.Rules{MinRuntime: 2 * time.Hour},
			pods:  []*v1.Pod{pod("p", 1), pod("a-0", 1, inGang("a", "w")), pod("a-1", 1, inGang("a", "w")), pod("a-2", 1, inGang("a", "w"))},
			list:  []string{"pod ml/a-0: a-0"},
			kept: []string{
				"pod ml/p: p, has not run for its minimum of 2h0m0s yet",
				"gang job ml/a: a-1 a-2 after pod ml/a-0, broken 1, unowned 0, breaches 0, has not run for its minimum of 2h0m0s yet",
			},
		},
		"minimum run time of the gang": {
			pods: []*v1.Pod{pod("l-0", 1, inGang("limits", "w"))},
			kept: []string{"gang job ml/limits: l-0, broken 1, unowned 0, breaches 0, has not run for its minimum of 2h0m0s yet"},
		},
		"the annotation protects where it is allowed": {
			rules: evict.Rules{AllowNever: true}, pods: []*v1.Pod{pod("p", 1, annotated(gangs.PreemptionAnnotation, "never"))},
			kept: []string{"pod ml/p: p, is protected by annotation dovetail.dev/preemption"},
		},
		"the annotation has no effect elsewhere": {
			pods: []*v1.Pod{pod("p", 1, annotated(gangs.PreemptionAnnotation, "never"))}, list: []string{"pod ml/p: p"},
		},
		"a budget protects": {
			pods:    []*v1.Pod{pod("p", 1, labelled("app", "x")), pod("q", 1)},
			budgets: []*policyv1.PodDisruptionBudget{budget("x", 0, map[string]string{"app": "x"})},
			list:    []string{"pod ml/q: q"}, kept: []string{"pod ml/p: p, is protected by PodDisruptionBudget x"},
		},
		"a budget for one pod protects a gang of two": {
			pods:    []*v1.Pod{pod("a-0", 1, inGang("a", "w")), pod("a-1", 1, inGang("a", "w"))},
			budgets: []*policyv1.PodDisruptionBudget{budget("x", 1, map[string]string{"gang": "a"})},
			kept:    []string{"gang job ml/a: a-0 a-1, broken 1, unowned 0, breaches 0, is protected by PodDisruptionBudget x"},
		},
		"budgets that are only preferred": {
			rules: evict.Rules{PreferBudgets: true}, pods: []*v1.Pod{pod("a-0", 1, inGang("a", "w")), pod("a-1", 1, inGang("a", "w"))},
			budgets: []*policyv1.PodDisruptionBudget{budget("x", 1, map[string]string{"gang": "a"})},
			list:    []string{"gang job ml/a: a-0 a-1, broken 1, unowned 0, breaches 1"},
		},
		"a gang stays whole if a member beyond the minimum is protected": {
			pods:    []*v1.Pod{pod("a-0", 1, inGang("a", "w"), labelled("app", "x")), pod("a-1", 1, inGang("a", "w")), pod("a-2", 1, inGang("a", "w"))},
			budgets: []*policyv1.PodDisruptionBudget{budget("x", 0, map[string]string{"app": "x"})},
			kept: []string{
				"pod ml/a-0: a-0, is protected by PodDisruptionBudget x",
				"gang job ml/a: a-1 a-2 after pod ml/a-0, broken 1, unowned 0, breaches 0, is protected by PodDisruptionBudget x",
			},
		},
		"pods without a controller": {
			pods: []*v1.Pod{pod("p", 1, func(p *v1.Pod) { p.OwnerReferences = nil })}, list: []string{"pod ml/p: p, broken 0, unowned 1, breaches 0"},
		},
		"pods being bound": {
			rules: evict.Rules{Bound: func(p *v1.Pod) bool { return p.Name != "a-1" }},
			pods:  []*v1.Pod{pod("a-0", 1, inGang("a", "w")), pod("a-1", 1, inGang("a", "w"))},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.rules.Reader = declared
			units := test.rules.Units(nodeWith(t, test.pods...), 10, gangs.Key{}, test.budgets, now)
			var list, kept []string
			for i := range units.List {
				list = append(list, shown(&units.List[i]))
			}
			for i := range units.Protected {
				kept = append(kept, shown(&units.Protected[i]))
			}
			if diff := cmp.Diff(test.list, list); diff != "" {
				t.Errorf("units that may leave (-want,+got):\n%s", diff)
			}
			if diff := cmp.Diff(test.kept, kept); diff != "" {
				t.Errorf("protected units (-want,+got):\n%s", diff)
			}
			if want := name == "pods being bound"; units.Unsettled != want {
				t.Errorf("Unsettled is %v, want %v", units.Unsettled, want)
			}
		})
	}
}

// One budget allows one eviction: of two chosen pods one is too many.
func TestOverdrawn(t *testing.T) {
	rules := evict.Rules{Reader: reader{}}
	budgets := []*policyv1.PodDisruptionBudget{budget("x", 1, map[string]string{"app": "x"})}
	units := rules.Units(nodeWith(t, pod("p", 1, labelled("app", "x")), pod("q", 1, labelled("app", "x"))), 10, gangs.Key{}, budgets, now)
	if _, over := units.Overdrawn([]int{0}); over != nil {
		t.Errorf("one eviction is too many: %v", over)
	}
	by, over := units.Overdrawn([]int{0, 1})
	if diff := cmp.Diff([]int{1}, over); diff != "" || by != budgets[0] {
		t.Errorf("units beyond the budget (-want,+got):\n%s", diff)
	}
	units.Protect(over, "is protected")
	if len(units.List) != 1 || len(units.Protected) != 1 {
		t.Errorf("%d units may leave and %d not, want 1 and 1", len(units.List), len(units.Protected))
	}
}
