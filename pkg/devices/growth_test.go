// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"testing"
	"time"

	resourceapi "k8s.io/api/resource/v1"
)

// A hundred thousand shapes of claims leave a bounded number of queries and kinds, and the
// counts of ordinary requests as they were.
func TestClaimShapesAreBounded(t *testing.T) {
	inv := inventory(ndH100v5().slices("n1")...)
	ordinary := mustRequest(t, inv, claim("c", wants("g", "gpu", 2)))
	before := slots(t, inv.View(ordinary), ordinary, "n1")
	if before == 0 {
		t.Fatal("no pod fits")
	}
	queries, kinds := 0, 0
	for i := range 100_000 {
		inv.Refill(time.Unix(int64(i), 0)) // the namespace's budget for selectors is not what this test is about
		asks := wants("g", "gpu", 2)
		asks.Exactly.Tolerations = []resourceapi.DeviceToleration{{Key: fmt.Sprintf("example.com/junk-%d", i), Operator: resourceapi.DeviceTolerationOpExists}}
		request := mustRequest(t, inv, claim("c", asks))
		if i%100 == 0 {
			kinds = max(kinds, len(inv.View(request).Kinds))
		}
		_, n := inv.Sizes()
		queries = max(queries, n)
	}
	if queries > 1024 || kinds > 16 {
		t.Errorf("up to %d queries and %d kinds", queries, kinds)
	}
	if after := slots(t, inv.View(ordinary), ordinary, "n1"); after != before {
		t.Errorf("%d pods fit after the claims, %d before", after, before)
	}
}
