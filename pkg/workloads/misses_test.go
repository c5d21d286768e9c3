// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/cache"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Of a hundred thousand lookups that found no object, those of gangs that exist are kept, and
// their gangs are notified.
func TestMissesOfDeletedGangsAreDropped(t *testing.T) {
	exists := gangs.RayClusterKey("ml", "waits")
	inUse := func(key gangs.Key) bool { return key == exists }
	var m misses
	m.add(cache.NewObjectName("ml", "waits"), exists)
	most := 0
	for i := range 100_000 {
		name := fmt.Sprintf("gone-%d", i)
		if m.add(cache.NewObjectName("ml", name), gangs.RayClusterKey("ml", name)) {
			m.dropUnused(inUse)
		}
		most = max(most, m.len())
	}
	if most > minMisses+1 {
		t.Errorf("up to %d misses, want %d", most, minMisses+1)
	}
	if diff := cmp.Diff([]gangs.Key{exists}, m.takeOf(cache.NewObjectName("ml", "waits"))); diff != "" {
		t.Errorf("gangs that missed the object (-want,+got):\n%s", diff)
	}
	left := m.len()
	if got := len(m.take()); got != left || m.len() != 0 {
		t.Errorf("took %d of %d misses, %d are left", got, left, m.len())
	}
}

// A miss that is added again while the unused ones are dropped stays: its gang may be new.
func TestMissAddedWhileDropping(t *testing.T) {
	object, key := cache.NewObjectName("ml", "a"), gangs.RayClusterKey("ml", "a")
	var m misses
	m.add(object, key)
	m.dropUnused(func(gangs.Key) bool { m.add(object, key); return false })
	if diff := cmp.Diff([]gangs.Key{key}, m.take()); diff != "" {
		t.Errorf("misses (-want,+got):\n%s", diff)
	}
}
