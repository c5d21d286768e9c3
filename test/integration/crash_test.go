// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// The scheduler is killed at a random moment while it binds a gang of 100, on a fleet for
// which a second gang competes. After the restart, the first gang must be bound completely
// before a pod of the second gang is bound.
func TestKillWhileBinding(t *testing.T) {
	const kills, gang, rival = 10, 100, 20
	e := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=plain,spines=2,leaves=7,nodes=8")},
		Without: []string{localcluster.KubeRay},
		// The client's rate limit slows bindings down to the rate of a busy API server, so
		// the kill can interrupt them.
		DovetailConfig: slowly(t),
		// With leader election, a second instance would wait for the lease of the first.
		Args: map[string][]string{localcluster.Dovetail: {"--leader-elect=false"}},
	})
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	interrupted := 0
	for kill := range kills {
		first, second := fmt.Sprintf("gang%d", kill), fmt.Sprintf("rival%d", kill)
		e.podGroup(first, gang, nil)
		e.podGroup(second, rival, nil)
		stopAt := 1 + random.IntN(gang*3/4)
		killed := e.killAfter(stopAt, groupLabel+"="+first)
		e.createPods(members(first, gang, asking("20", "1Gi"))...)
		e.createPods(members(second, rival, asking("20", "1Gi"))...)
		<-killed
		left := gang - e.Bound(groupLabel+"="+first)
		if left > 0 {
			interrupted++
		}
		t.Logf("killed after %d bindings; %d of %d bound", stopAt, gang-left, gang)
		if err := e.Cluster.Restart(t.Context(), localcluster.Dovetail); err != nil {
			t.Fatalf("starting the scheduler again: %v", err)
		}
		e.Whole(groupLabel+"="+first, gang)
		e.Refused(groupLabel+"="+second, rival, "gang podgroup "+e.Namespace+"/"+second+": ")
		e.removePods("")
		e.remove(podGroups, first)
		e.remove(podGroups, second)
		e.Eventually("the round's pods are gone", func() bool { return len(e.Pods("")) == 0 })
	}
	t.Logf("%d of %d kills came between two bindings", interrupted, kills)
	if interrupted < kills/2 {
		t.Errorf("only %d of %d kills came between two bindings", interrupted, kills)
	}
}

// slowly returns the shipped configuration with a client rate limit of 100 requests per
// second.
func slowly(t *testing.T) []byte {
	t.Helper()
	fast := string(manifests.SchedulerConfig)
	slow := strings.NewReplacer("qps: 1000", "qps: 100", "burst: 2000", "burst: 1").Replace(fast)
	if slow == fast {
		t.Fatal("the shipped configuration does not set qps and burst as this test expects")
	}
	return []byte(slow)
}

// killAfter kills the scheduler as soon as n matching pods are bound, and closes the
// channel when its process has ended.
func (e *env) killAfter(n int, selector string) <-chan struct{} {
	e.Helper()
	watch, err := e.Client.CoreV1().Pods(e.Namespace).Watch(e.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("watching pods: %v", err)
	}
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		defer watch.Stop()
		bound := map[string]bool{}
		for event := range watch.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
				bound[pod.Name] = true
			}
			if len(bound) >= n {
				break
			}
		}
		if err := e.Cluster.Kill(localcluster.Dovetail); err != nil {
			e.Errorf("killing the scheduler: %v", err)
		}
	}()
	return dead
}
