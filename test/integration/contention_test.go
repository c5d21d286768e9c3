// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// contentionRounds is the number of rounds in which the two gangs compete.
const contentionRounds = 20

// Two gangs need 60% of the fleet each, and their pods are created interleaved. One gang
// must run completely. The other must hold no node until it can run completely.
func TestTwoGangsOfSixtyPercent(t *testing.T) {
	e := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=plain,spines=2,leaves=5,nodes=2")},
		Without: withoutOthers,
	})
	const nodes, share = 20, 12
	var longest time.Duration
	for round := range contentionRounds {
		a, b := fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round)
		e.podGroup(a, share, nil)
		e.podGroup(b, share, nil)
		e.createPods(interleave(members(a, share, asking("20", "1Gi")), members(b, share, asking("20", "1Gi")))...)

		began := time.Now()
		var winner, loser string
		e.Eventually("one of the gangs runs whole", func() bool {
			for _, pair := range [][2]string{{a, b}, {b, a}} {
				if e.Bound(groupLabel+"="+pair[0]) == share {
					winner, loser = pair[0], pair[1]
					return true
				}
			}
			return false
		})
		e.Refused(groupLabel+"="+loser, share, "gang podgroup "+e.Namespace+"/"+loser+": ")
		e.RemovePods(groupLabel + "=" + winner)
		e.Whole(groupLabel+"="+loser, share)
		longest = max(longest, time.Since(began))
		e.RemovePods(groupLabel + "=" + loser)
		e.remove(podGroups, a)
		e.remove(podGroups, b)
		e.Gone("")
	}
	t.Logf("%d rounds on %d nodes; the longest from the first pod to both having run: %v", contentionRounds, nodes, longest.Round(time.Millisecond))
}

func interleave(a, b []*corev1.Pod) []*corev1.Pod {
	var pods []*corev1.Pod
	for i := range a {
		pods = append(pods, a[i], b[i])
	}
	return pods
}

func plainFleet(t *testing.T, text string) fleet.Spec {
	t.Helper()
	spec, err := fleet.Parse(text)
	if err != nil {
		t.Fatalf("reading fleet %q: %v", text, err)
	}
	return spec
}
