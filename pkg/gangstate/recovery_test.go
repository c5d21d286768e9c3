// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Room for the rest of a gang is held against all others until the gang's cycle, or until
// podGroupHoldLife has passed. If it was held in vain, the groups refused because of it are
// tried again.
func TestHoldForRest(t *testing.T) {
	mine, other := podGroupRequest("mine", 2, 0), podGroupRequest("other", 2, 0)
	need := gangs.Capacity{Resources: map[string]int64{"cpu": 1}}
	held := []gangs.Hold{{Node: "n1", Need: need}}
	for _, c := range []struct {
		name   string
		then   func(*Tracker)
		kept   []gangs.Hold
		inVain bool
	}{
		{"before its cycle", func(*Tracker) {}, held, false},
		{"after that of another", func(tr *Tracker) { tr.PodGroupPlaced(&other, epoch) }, held, false},
		{"placed", func(tr *Tracker) { tr.PodGroupPlaced(&mine, epoch) }, nil, false},
		{"refused", func(tr *Tracker) { refusePodGroup(tr, mine, nil, epoch) }, nil, true},
		{"for a while", func(tr *Tracker) { tr.Tick(epoch.Add(podGroupHoldLife)) }, held, false},
		{"never tried", func(tr *Tracker) {
			if !tr.Tick(epoch.Add(podGroupHoldLife + time.Second)).ActivatePodGroups {
				t.Error("room that is held too long expires without an effect")
			}
		}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := podGroupTracker(t)
			tr.HoldForRest(&mine, gangs.Assignment{
				Nodes: map[types.UID]string{"m1": "n1"}, Needs: map[types.UID]gangs.Capacity{"m1": need},
			}, epoch)
			c.then(tr)
			if diff := cmp.Diff(c.kept, tr.Holds(0)); diff != "" {
				t.Errorf("what is held (-want,+got):\n%s", diff)
			}
			if request := mine; tr.BeginPodGroupCycle(&request, epoch) != "" || len(request.Holds) > 0 {
				t.Errorf("%v is held against the gang itself", request.Holds)
			}
			if got := tr.Tick(epoch).ActivatePodGroups; got != c.inVain {
				t.Errorf("held in vain is %v, want %v", got, c.inVain)
			}
			if tr.Tick(epoch).ActivatePodGroups {
				t.Error("held in vain is reported twice")
			}
		})
	}
}
