// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"sync"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Watches change the inventory while planners read requests and views. There is no data
// race, and no view counts more devices than exist.
func TestConcurrentUse(t *testing.T) {
	slices := ndH100v5().slices("n1")
	inv := inventory(slices...)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 100 {
				claimed := types.UID(fmt.Sprint(worker))
				inv.SetAllocation(claimed, allocated(fmt.Sprintf("gpu.nvidia.com/n1/gpu-%d", 2*worker+i%2)))
				inv.SetSlice(slices[i%2].DeepCopy())
				inv.SetAllocation(claimed, nil)
			}
		})
		group.Go(func() {
			for i := range 50 {
				request, err := inv.Request(pod, []*resourceapi.ResourceClaim{claim("c", wants("g", "gpu", int64(1+i%3)))}, standardClasses())
				if err != nil {
					t.Error(err)
					return
				}
				view := inv.View(request)
				counts, err := view.Node(node("n1"), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if got := optionSlots(view.Least(&request), counts) * (1 + i%3); got > 8 {
					t.Errorf("counts %d free GPUs of 8", got)
				}
				inv.Order("n1", &request, nil)
				inv.AttributeValues("n1", "azure.dra.net/placementGroupId")
			}
		})
	}
	group.Wait()
}
