// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plan"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// many is how many names, claims or labels come and go in a test.
const many = 100_000

// smallWorld is a cluster of two nodes with devices.
func smallWorld(t testing.TB) *world {
	w := newWorld(t, 0)
	w.nodes = w.nodes[:2]
	w.dra.slices = slices.DeleteFunc(w.dra.slices, func(s *resourceapi.ResourceSlice) bool {
		return *s.Spec.NodeName != w.nodes[0].Node().Name && *s.Spec.NodeName != w.nodes[1].Node().Name
	})
	return w
}

// plain returns a cache without devices.
func plain(t testing.TB) *cluster.Cache {
	t.Helper()
	cache, err := cluster.NewCache(nil)
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// planOf plans a gang of two pods like the given one.
func planOf(t testing.TB, cache *cluster.Cache, nodes []fwk.NodeInfo, like *v1.Pod) plan.Decision {
	t.Helper()
	needs, err := cache.Read([]*v1.Pod{like})
	if err != nil {
		t.Fatalf("reading the need of pod %s: %v", like.Name, err)
	}
	snapshot, err := cache.Refresh(nodes, nil)
	if err != nil {
		t.Fatalf("refreshing: %v", err)
	}
	role := plan.Role{Name: "r", Min: 2, Need: needs[0].Need, Members: []plan.Member{{Name: "m0"}, {Name: "m1", Rank: 1}}}
	return plan.Plan(snapshot, plan.Gang{Name: "g", Roles: []plan.Role{role}}, nil, plan.Options{})
}

// columns returns the size of the planner's layout.
func columns(cache *cluster.Cache) int {
	resources, kinds := cache.Columns()
	return resources + kinds
}

// Names of resources that only pods know leave nothing behind, and cost later plans nothing.
func TestAskedNamesDoNotWidenTheLayout(t *testing.T) {
	w := smallWorld(t)
	cache, nodes := plain(t), w.infos()
	ordinary := pod("cpu", "30")
	planOf(t, cache, nodes, ordinary)
	want, size := planOf(t, cache, nodes, ordinary), columns(cache)
	for i := range many {
		name := fmt.Sprintf("example.com/junk-%d", i)
		d := planOf(t, cache, nodes, pod("junk", "1", v1.ResourceName(name)))
		if d.Placed || i%100 == 0 && !strings.Contains(fmt.Sprint(d.Why()), name) {
			t.Fatalf("plan of a gang that asks for %s: %+v", name, d)
		}
		if got := columns(cache); got != size {
			t.Fatalf("after %d names: %d resources and kinds, want %d", i+1, got, size)
		}
	}
	if diff := cmp.Diff(want, planOf(t, cache, nodes, ordinary)); diff != "" {
		t.Errorf("plan before and after the names, work included (-before,+after):\n%s", diff)
	}
}

// A resource that nodes get after pods asked for it is planned with, beside others of the
// same plan.
func TestAskedNameIsOffered(t *testing.T) {
	w := smallWorld(t)
	cache := w.cache()
	asks := pod("p", "1", "example.com/never", "example.com/soon")
	offer := func(name v1.ResourceName) {
		node := w.nodes[0].Node().DeepCopy()
		node.Status.Allocatable[name] = resource.MustParse("2")
		w.nodes[0].SetNode(node)
	}
	planOf(t, cache, w.infos(), asks)
	offer("example.com/another")
	if d := planOf(t, cache, w.infos(), asks); d.Placed {
		t.Fatalf("placed without its resources: %+v", d)
	}
	offer("example.com/soon")
	if d := planOf(t, cache, w.infos(), pod("p", "1", "example.com/soon")); !d.Placed {
		t.Errorf("with its resource: %s", d.Why())
	}
	if d := planOf(t, cache, w.infos(), asks); d.Placed || !strings.Contains(fmt.Sprint(d.Why()), "example.com/never") {
		t.Errorf("without one of its resources: %+v", d)
	}
}

// Resources that nodes no longer have leave the layout, and plans stay those of a new cache.
func TestOfferedNamesLeave(t *testing.T) {
	w := smallWorld(t)
	cache := plain(t)
	most, nodes := 0, []fwk.NodeInfo{w.nodes[0].Snapshot(), w.nodes[1].Snapshot()}
	for i := range many {
		name := v1.ResourceName(fmt.Sprintf("example.com/brief-%d", i))
		node := *nodes[i%2].Node()
		node.Status.Allocatable = maps.Clone(node.Status.Allocatable)
		node.Status.Allocatable[name] = resource.MustParse("2")
		w.nodes[i%2].SetNode(&node)
		if d := planOf(t, cache, w.infos(), pod("p", "1", name)); !d.Placed {
			t.Fatalf("resource %s: %s", name, d.Why())
		}
		most = max(most, columns(cache))
	}
	if most > 80 {
		t.Errorf("the layout had up to %d resources and kinds for 2 nodes with 2 names of their own", most)
	}
	fresh, kept := planOf(t, plain(t), w.infos(), pod("cpu", "30")), planOf(t, cache, w.infos(), pod("cpu", "30"))
	if diff := cmp.Diff(fresh.Assignments, kept.Assignments); diff != "" {
		t.Errorf("plan with a new and the old cache (-new,+old):\n%s", diff)
	}
}

// Each claim divides the devices anew, and so names other kinds.
func TestKindsLeave(t *testing.T) {
	w := smallWorld(t)
	cache, nodes := w.cache(), w.infos()
	ordinary := withClaim(pod("gpu", "4"), "two")
	want := planOf(t, cache, nodes, ordinary)
	most := 0
	for i := range many / 100 {
		claim := twoGPUs("other")
		claim.Spec.Devices.Requests[0].Exactly.Selectors = []resourceapi.DeviceSelector{{
			CEL: &resourceapi.CELDeviceSelector{Expression: fmt.Sprintf("device.driver != 'junk-%d'", i)},
		}}
		// Each namespace has a budget for the evaluation of selectors.
		p := withClaim(pod("p", "4"), "other")
		p.Namespace, claim.Namespace = fmt.Sprintf("ns-%d", i/100), fmt.Sprintf("ns-%d", i/100)
		w.dra.claims["other"] = claim
		if d := planOf(t, cache, nodes, p); !d.Placed {
			t.Fatalf("claim %d: %s", i, d.Why())
		}
		most = max(most, columns(cache))
	}
	if most > 200 {
		t.Errorf("the layout had up to %d resources and kinds", most)
	}
	got := planOf(t, cache, nodes, ordinary)
	if diff := cmp.Diff(want.Assignments, got.Assignments); diff != "" {
		t.Errorf("plan before and after the claims (-before,+after):\n%s", diff)
	}
}

// Labels that no node has do not displace the caches of labels in use.
func TestUnknownLabelsKeepNoCache(t *testing.T) {
	w := smallWorld(t)
	profile := &cluster.Profile{}
	profile.SetLevels([]cluster.Level{{Name: "spine", NodeLabel: fleet.LabelSpine}})
	cacheOf := func(label string) *cluster.Cache {
		cache, err := profile.CacheWithLabels([]string{label}, false, w.infos())
		if err != nil {
			t.Fatal(err)
		}
		return cache
	}
	used := cacheOf(fleet.LabelLeaf)
	for i := range many {
		cacheOf(fmt.Sprintf("example.com/junk-%d", i))
	}
	if cacheOf(fleet.LabelLeaf) != used {
		t.Errorf("the cache of label %s was made anew", fleet.LabelLeaf)
	}
}

// The time of a plan after 10,000 gangs that each asked for a resource of their own, as a
// ratio to the time before.
func BenchmarkPlanAfterJunk(b *testing.B) {
	const plans, names = 200, 10_000
	w := newWorld(b, 0)
	nodes, ordinary := w.infos(), withClaim(pod("gpu", "4"), "two")
	var before, after time.Duration
	for b.Loop() {
		cache := w.cache()
		measure := func() time.Duration {
			began := time.Now()
			for range plans {
				if d := planOf(b, cache, nodes, ordinary); !d.Placed {
					b.Fatal(d.Why())
				}
			}
			return time.Since(began)
		}
		measure() // the first plan counts the cluster
		before += measure()
		for i := range names {
			planOf(b, cache, nodes, pod("junk", "1", v1.ResourceName(fmt.Sprintf("example.com/junk-%d", i))))
		}
		after += measure()
	}
	b.ReportMetric(float64(before)/float64(b.N*plans), "ns/plan-before")
	b.ReportMetric(float64(after)/float64(b.N*plans), "ns/plan-after")
	b.ReportMetric(float64(after)/float64(before), "after/before")
}
