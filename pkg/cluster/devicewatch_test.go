// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// Claims that come and go while no pod needs a plan do not fill the queue of changes. Claims
// that exist stay in it.
func TestChangesOfDeletedClaimsAreDropped(t *testing.T) {
	w := smallWorld(t)
	counts := cluster.NewDevices(w.dra)
	counts.ClaimChanged(w.dra.claims["two"])
	most := 0
	for i := range many {
		claim := twoGPUs(fmt.Sprintf("c%d", i))
		counts.ClaimChanged(claim)
		counts.ClaimReleased(types.UID(fmt.Sprintf("unknown-%d", i)))
		counts.ClaimDeleted(claim)
		counts.SliceChanged(claim.Name)
		queued, _ := counts.Pending()
		most = max(most, queued)
	}
	if most > 1100 {
		t.Errorf("up to %d changes were queued", most)
	}
	if queued, _ := counts.Pending(); queued == 0 {
		t.Error("the change of a claim that exists was dropped")
	}
}
