// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// The scheduler is killed at a random moment while it binds a gang of 100, on a fleet for
// which a second gang competes. After the restart, the first gang must be bound completely
// before a pod of the second gang is bound.
func TestKillWhileBinding(t *testing.T) {
	const kills, gang, rival = 10, 100, 20
	slow, err := harness.SlowConfig(100)
	if err != nil {
		t.Fatal(err)
	}
	e := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=plain,spines=2,leaves=7,nodes=8")},
		Without: withoutOthers,
		// Bindings at the pace of a busy API server, so that there is a middle.
		DovetailConfig: slow,
		// A second instance would otherwise wait for the first one's lease.
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
		killed := e.KillAfter(stopAt, groupLabel+"="+first)
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
		e.RemovePods("")
		e.remove(podGroups, first)
		e.remove(podGroups, second)
		e.Gone("")
	}
	t.Logf("%d of %d kills came between two bindings", interrupted, kills)
	if interrupted < kills/2 {
		t.Errorf("only %d of %d kills came between two bindings", interrupted, kills)
	}
}
