// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Less is a strict weak order that keeps members of a gang adjacent, in any order of
// arrival.
func TestLess(t *testing.T) {
	g := pluginWith(t, nil)
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []*framework.QueuedPodInfo
	for i := range 120 {
		name, born := string(rune('a'+i/26))+string(rune('a'+i%26)), epoch.Add(time.Duration(rnd.IntN(4))*time.Second)
		pod := member([]string{"a", "b", "c", ""}[rnd.IntN(4)], name, 2)
		pod.CreationTimestamp = metav1.NewTime(born)
		if pod.Labels[gangs.GangNameLabel] == "c" {
			pod.Spec.Priority = new(int32)
			*pod.Spec.Priority = 7
		}
		g.tracker.Upsert(pod, epoch)
		all = append(all, queued(t, pod, born))
	}
	for _, a := range all {
		for _, b := range all {
			g.ordered(t, a, b, all[rnd.IntN(len(all))])
		}
	}
	slices.SortFunc(all, func(a, b *framework.QueuedPodInfo) int {
		switch {
		case g.Less(a, b):
			return -1
		case g.Less(b, a):
			return 1
		}
		return 0
	})
	var order []string
	for _, info := range all {
		if gang := info.Pod.Labels[gangs.GangNameLabel]; gang != "" {
			order = append(order, gang)
		}
	}
	if got := slices.Compact(order); len(got) != 3 || got[0] != "c" {
		t.Errorf("gangs stand in the order %v: not each in one place, by priority", got)
	}
}

// ordered checks the laws of a strict weak order on three pods.
func (g *Gang) ordered(t *testing.T, a, b, c *framework.QueuedPodInfo) {
	t.Helper()
	if g.Less(a, b) && g.Less(b, a) {
		t.Errorf("%s and %s stand before each other", a.Pod.Name, b.Pod.Name)
	}
	if g.Less(a, b) && g.Less(b, c) && !g.Less(a, c) {
		t.Errorf("%s, %s, %s: not transitive", a.Pod.Name, b.Pod.Name, c.Pod.Name)
	}
	if equal(g, a, b) && equal(g, b, c) && !equal(g, a, c) {
		t.Errorf("%s, %s, %s: equality is not transitive", a.Pod.Name, b.Pod.Name, c.Pod.Name)
	}
}

func equal(g *Gang, a, b fwk.QueuedEntityInfo) bool { return !g.Less(a, b) && !g.Less(b, a) }
