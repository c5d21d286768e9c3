// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// The scheduler is killed at a random moment while it binds a gang of 100 on a
// fleet that holds little more. When it is back, the gang becomes whole.
func TestKillWhileBinding(t *testing.T) {
	const kills, gang = 10, 100
	e := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=plain,spines=2,leaves=7,nodes=8")},
		Without: []string{localcluster.KubeRay},
		// A second instance would otherwise wait for the first one's lease.
		Args: map[string][]string{localcluster.Dovetail: {"--leader-elect=false"}},
	})
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	interrupted := 0
	for kill := range kills {
		name := fmt.Sprintf("gang%d", kill)
		selector := groupLabel + "=" + name
		e.podGroup(name, gang, nil)
		e.create(members(name, gang, asking("20", "1Gi"))...)
		stopAt := 1 + random.IntN(gang-1)
		e.eventually("the gang is being bound", func() bool { return e.bound(selector) >= min(stopAt, gang) })
		if err := e.cluster.Kill(localcluster.Dovetail); err != nil {
			t.Fatalf("killing the scheduler: %v", err)
		}
		left := gang - e.bound(selector)
		if left > 0 {
			interrupted++
		}
		t.Logf("kill %d with %d of %d bound", kill, gang-left, gang)
		if err := e.cluster.Restart(t.Context(), localcluster.Dovetail); err != nil {
			t.Fatalf("starting the scheduler again: %v", err)
		}
		e.whole(selector, gang)
		e.removePods(selector)
		e.remove(podGroups, name)
		e.eventually("the round's pods are gone", func() bool { return len(e.pods("")) == 0 })
	}
	if interrupted == 0 {
		t.Errorf("none of %d kills came between two bindings", kills)
	}
}
