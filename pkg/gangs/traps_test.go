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

// A trap is a behaviour of a workload controller with which a simple gang scheduler would
// wait for ever, or separate pods that belong together. Each trap has one table test named
// after it; docs/workloads.md lists them.

// scene is the state of one gang at one time.
type scene struct {
	objects objects
	pods    []*corev1.Pod
	want    outlook
}

// outlook is the expected result for a scene.
type outlook struct {
	// Alone are the pods that are in no gang.
	Alone []string
	// Key is the gang of all other pods.
	Key string
	// Says is the message why no pod starts; empty if a pod starts.
	Says string
	// Starts counts the pods planned now, by role. Must is how many of them the plan has to
	// place, in addition to those already placed.
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

// look calls the package like the Gang plugin does. Every message about a gang must name
// the source that declared it.
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

// gather separates the members of the gang from the pods that are in no gang.
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

// count counts the pods that start now, and how many of them must.
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
			role = "pods" // without the hash of the shape
		}
		o.Starts[role]++
	}
	o.Must = max(0, o.Must)
}

func with[T any](name string, object *T) map[string]*T { return map[string]*T{"ml/" + name: object} }
