// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// door is a group that waits outside, and what is asked and done about it.
type door struct {
	outside
	complete, gone atomic.Bool
	asked, entered atomic.Int32
	// asks is the pod that was last asked about, finds the one that is found to wait.
	asks, finds atomic.Pointer[v1.Pod]
}

func newDoor(looks ...time.Duration) *door {
	d := &door{}
	d.outside = outside{
		complete: func(pod *v1.Pod) bool { d.asks.Store(pod); d.asked.Add(1); return d.complete.Load() },
		waiter: func(fwk.EntityKey) *v1.Pod {
			if d.gone.Load() {
				return nil
			}
			return d.finds.Load()
		},
		enter: func([]*v1.Pod) { d.entered.Add(1) },
		looks: looks,
	}
	d.finds.Store(&v1.Pod{})
	return d
}

func (d *door) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.groups)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

var waits = fwk.PodGroupKey("ml", "train")

// The scheduler counts a pod later than we hear of it: the group enters although no
// event comes after that.
func TestGroupEntersWhenTheSchedulerHasCounted(t *testing.T) {
	d := newDoor(time.Millisecond, time.Millisecond)
	for range 3 { // every member that waits is refused
		d.wait(waits, &v1.Pod{})
	}
	eventually(t, "it was looked at more often than there are pauses", func() bool { return d.asked.Load() > 3 })
	if d.entered.Load() > 0 {
		t.Fatal("a group without its quorum was let in")
	}
	d.complete.Store(true)
	eventually(t, "it enters", func() bool { return d.entered.Load() == 1 && d.waiting() == 0 })
	asked := d.asked.Load()
	time.Sleep(20 * time.Millisecond)
	if d.entered.Load() != 1 || d.asked.Load() != asked {
		t.Errorf("after it was let in, it was looked at %d times more, and let in %d times", d.asked.Load()-asked, d.entered.Load()-1)
	}
}

// A pod that comes after a while does not wait for the next look.
func TestPodThatComesHasItsGroupLookedAt(t *testing.T) {
	d := newDoor(time.Millisecond, time.Hour)
	d.wait(waits, &v1.Pod{})
	eventually(t, "the first look is over", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.groups[waits].look == 1
	})
	d.complete.Store(true)
	d.recall(fwk.PodGroupKey("ml", "other"))
	d.recall(waits)
	eventually(t, "it enters", func() bool { return d.entered.Load() == 1 && d.waiting() == 0 })
}

// Groups that are deleted while they wait are forgotten.
func TestGroupThatLeftIsForgotten(t *testing.T) {
	d := newDoor(time.Millisecond, time.Millisecond)
	d.wait(waits, &v1.Pod{})
	eventually(t, "it was looked at", func() bool { return d.asked.Load() > 3 })
	d.gone.Store(true)
	eventually(t, "it is forgotten", func() bool { return d.waiting() == 0 })
	if d.entered.Load() > 0 {
		t.Error("it was let in")
	}
}

// The pod by which a group is known may be deleted, and its PodGroup with it, while
// others of the hierarchy wait: then it is known by one of those.
func TestGroupIsKnownByAPodThatWaits(t *testing.T) {
	d := newDoor(time.Millisecond, time.Millisecond)
	d.wait(waits, &v1.Pod{})
	other := &v1.Pod{}
	d.finds.Store(other)
	eventually(t, "the other is asked about", func() bool { return d.asks.Load() == other })
	if d.waiting() != 1 {
		t.Error("the group was forgotten")
	}
}

// A pod that is refused while it is found that none waits keeps its group known.
func TestPodThatComesWhileItsGroupIsForgotten(t *testing.T) {
	d := newDoor(time.Millisecond, time.Millisecond)
	var late atomic.Bool
	found := d.waiter
	d.waiter = func(group fwk.EntityKey) *v1.Pod {
		if late.CompareAndSwap(true, false) {
			d.wait(waits, &v1.Pod{})
			return nil
		}
		return found(group)
	}
	d.wait(waits, &v1.Pod{})
	late.Store(true)
	eventually(t, "it comes", func() bool { return !late.Load() })
	d.complete.Store(true)
	eventually(t, "it enters", func() bool { return d.entered.Load() == 1 })
}
