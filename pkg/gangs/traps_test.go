// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A trap is what a workload's controller does that would make a scheduler wait
// for ever, or take apart what belongs together. Each has one table test named
// after it; docs/workloads.md lists them.

// scene is a moment in the life of one gang.
type scene struct {
	objects objects
	pods    []*corev1.Pod
	want    outlook
}

// outlook is what happens at that moment.
type outlook struct {
	// Alone are the pods that are in no gang.
	Alone []string
	// Key is the gang of the others, which must be the same of all.
	Key string
	// Says is why nobody starts; empty if somebody does.
	Says string
	// Starts are the pods that are planned now, by role; Must is how many of them
	// the plan has to place, beside those that stand.
	Starts map[string]int
	Must   int
}

func play(t *testing.T, scenes map[string]scene) {
	t.Helper()
	for name, tc := range scenes {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, look(t, tc.objects.sources(), tc.pods)); diff != "" {
				t.Errorf("outlook (-want,+got):\n%s", diff)
			}
		})
	}
}

// look does with the pods what the Gang plugin does. Whatever is said of a gang, it
// must name the source that declared it.
func look(t *testing.T, sources gangs.Sources, pods []*corev1.Pod) outlook {
	t.Helper()
	out := outlookOf(t, sources, pods)
	if source, name, _ := strings.Cut(out.Key, "/"); out.Says != "" && !strings.Contains(out.Says, source+"/"+strings.TrimSuffix(name, "-0")) {
		t.Errorf("does not name %s: %s", out.Key, out.Says)
	}
	return out
}

func outlookOf(t *testing.T, sources gangs.Sources, pods []*corev1.Pod) outlook {
	t.Helper()
	out, members := gather(t, sources, pods)
	if len(members) == 0 {
		return out
	}
	g, err := sources.Gang(members[0].Key, members)
	if err != nil {
		out.Says = err.Error()
		return out
	}
	v := gangs.Check(g, members)
	running := slices.ContainsFunc(members, func(m gangs.Member) bool {
		return g.Has(m) && gangs.Live(m.Pod) && placed(m) && m.Pod.Status.Phase != corev1.PodSucceeded
	})
	if out.Says = v.Problem + v.Waiting; out.Says != "" && !running {
		return out
	}
	var able []gangs.Member
	for _, m := range members {
		if g.Has(m) && gangs.Live(m.Pod) && (placed(m) || gangs.Ready(m.Pod)) {
			able = append(able, m)
		}
	}
	g, now, why := gangs.NextBatch(g, able, placed)
	out.Says = why
	out.count(g, now)
	return out
}

func placed(m gangs.Member) bool { return gangs.Placed(m.Pod) }

// gather sorts the pods into members of one gang and those of none.
func gather(t *testing.T, sources gangs.Sources, pods []*corev1.Pod) (outlook, []gangs.Member) {
	t.Helper()
	var out outlook
	var members []gangs.Member
	for _, p := range pods {
		m, ok := sources.Member(p)
		if !ok {
			out.Alone = append(out.Alone, p.Name)
			continue
		}
		members = append(members, m)
		if out.Key != "" && out.Key != m.Key.String() {
			t.Fatalf("two gangs: %s and %s", out.Key, m.Key)
		}
		out.Key = m.Key.String()
	}
	return out, members
}

// count says who starts now, and how many of them must.
func (o *outlook) count(g gangs.Gang, now []gangs.Member) {
	for _, r := range g.Roles {
		o.Must += r.Min
	}
	for _, m := range now {
		if placed(m) {
			o.Must--
			continue
		}
		if o.Starts == nil {
			o.Starts = map[string]int{}
		}
		role := m.Role
		if strings.HasPrefix(role, "pods-") {
			role = "pods" // and a hash of their shape
		}
		o.Starts[role]++
	}
	o.Must = max(0, o.Must)
}

func with[T any](name string, object *T) map[string]*T { return map[string]*T{"ml/" + name: object} }
