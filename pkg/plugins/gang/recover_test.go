// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Room for the rest of a gang is kept from all others until the gang has had its cycle,
// or restLife has passed. Who was refused for it is tried again if it was kept in vain.
func TestRoomForTheRest(t *testing.T) {
	mine, other := nativeRequest("mine", 2, 0), nativeRequest("other", 2, 0)
	one := plan.Need{Resources: []int64{1}}
	held := []gangs.Hold{{Node: "n1", Need: one}}
	for _, c := range []struct {
		name   string
		then   func(*book)
		kept   []gangs.Hold
		lapsed bool
	}{
		{"before its cycle", func(*book) {}, held, false},
		{"after that of another", func(b *book) { b.passNative(other.stand, epoch) }, held, false},
		{"placed", func(b *book) { b.passNative(mine.stand, epoch) }, nil, false},
		{"refused", func(b *book) { b.refuseNative(mine, nil, "no room", epoch) }, nil, true},
		{"for a while", func(b *book) { b.lapsed(epoch.Add(restLife)) }, held, false},
		{"never tried", func(b *book) {
			if !b.lapsed(epoch.Add(restLife + time.Second)) {
				t.Error("room that is kept too long lapses without a word")
			}
		}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := nativeWorld(t)
			b.keepRest(&attempt{
				key: mine.gang.Key, nodes: map[types.UID]string{"m1": "n1"}, needs: map[types.UID]plan.Need{"m1": one},
			}, epoch)
			c.then(b)
			if diff := cmp.Diff(c.kept, b.holdsOfOthers(gangs.Key{})); diff != "" {
				t.Errorf("what is kept (-want,+got):\n%s", diff)
			}
			if got := b.holdsOfOthers(mine.gang.Key); len(got) > 0 {
				t.Errorf("%v is kept from the gang itself", got)
			}
			if got := b.lapsed(epoch); got != c.lapsed {
				t.Errorf("lapsed is %v, want %v", got, c.lapsed)
			}
			if b.lapsed(epoch) {
				t.Error("lapsed is said twice")
			}
		})
	}
}
