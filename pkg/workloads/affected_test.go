// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// TestAffectedByRayJob changes a RayJob that made a RayCluster, which owns a PodGroup. The gang of
// the PodGroup is read from all three objects, so the change is reported for it, too.
func TestAffectedByRayJob(t *testing.T) {
	w, err := NewWithClients(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct {
		kind Kind
		text string
	}{
		{RayCluster, `{metadata: {namespace: ml, name: train-x, ownerReferences: [{apiVersion: ray.io/v1, kind: RayJob, name: train, uid: u, controller: true}]}}`},
		{CoschedulingGroup, `{metadata: {namespace: ml, name: g, ownerReferences: [{apiVersion: ray.io/v1, kind: RayCluster, name: train-x, uid: v}]}}`},
		{CoschedulingGroup, `{metadata: {namespace: ml, name: other, ownerReferences: [{apiVersion: ray.io/v1, kind: RayCluster, name: b, uid: w}]}}`},
	} {
		kw := w.byName[o.kind.definition()]
		if kw.current == nil {
			if kw.current, err = kw.newInformer("u"); err != nil {
				t.Fatal(err)
			}
		}
		it, err := o.kind.newItem(object(t, o.text))
		if err == nil {
			err = kw.current.GetIndexer().Add(it)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	var changed []gangs.Key
	w.OnChange(func(key gangs.Key) { changed = append(changed, key) })
	w.KeepMisses(func(key gangs.Key) bool { return key == gangs.CoschedulingKey("ml", "g") })
	w.changed(gangs.RayJobKey("ml", "train"))
	slices.SortFunc(changed, func(a, b gangs.Key) int { return compareKeys(b, a) })
	want := []gangs.Key{gangs.RayClusterKey("ml", "train-x"), gangs.RayJobKey("ml", "train"), gangs.CoschedulingKey("ml", "g")}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("gangs reported as changed (-want,+got):\n%s", diff)
	}
	if !w.inUse(gangs.RayJobKey("ml", "train")) || w.inUse(gangs.RayClusterKey("ml", "b")) {
		t.Error("a missing RayJob is kept while the gang of a PodGroup is read from it, and no longer")
	}
}
