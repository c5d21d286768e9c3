// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plan"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const placementGroup = "azure.dra.net/placementGroupId"

// regroup sets the placement group of a node's NICs. With some, it sets every second NIC
// only, so the node's devices disagree.
func (w *world) regroup(node, group string, some bool) {
	for i, slice := range w.dra.slices {
		if slice.Spec.Driver != fleet.DriverNIC || *slice.Spec.NodeName != node {
			continue
		}
		slice = slice.DeepCopy()
		for d := range slice.Spec.Devices {
			if !some || d%2 == 0 {
				slice.Spec.Devices[d].Attributes[placementGroup] = resourceapi.DeviceAttribute{StringValue: &group}
			}
		}
		w.dra.slices[i] = slice
	}
}

// groups returns a cluster of two placement groups, A and B, with two nodes each.
func groups(t *testing.T) *world {
	w := &world{t: t, dra: &manager{claims: map[string]*resourceapi.ResourceClaim{}, taken: sets.New[structured.DeviceID]()}}
	for _, text := range []string{"shape=ndh100v5,nodes=2,name=a,group=A", "shape=ndh100v5,nodes=2,name=b,group=B"} {
		spec, err := fleet.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for node := range spec.All() {
			info := framework.NewNodeInfo()
			info.SetNode(node.Object())
			w.nodes = append(w.nodes, info)
			w.dra.slices = append(w.dra.slices, node.Slices()...)
		}
	}
	for name, class := range map[string]string{"gpus": fleet.ClassGPU, "nics": fleet.ClassRDMA} {
		claim := twoGPUs(name)
		claim.Spec.Devices.Requests[0].Exactly.DeviceClassName = class
		claim.Spec.Devices.Requests[0].Exactly.Count = 8
		w.dra.claims[name] = claim
	}
	return w
}

// place plans a gang of size pods with the claim. It returns the placement or the reason
// for none.
func (w *world) place(cache *cluster.Cache, claim string, size int) string {
	w.t.Helper()
	needs, err := cache.Read([]*v1.Pod{withClaim(pod("p", "1"), claim)})
	if err != nil {
		w.t.Fatal(err)
	}
	picture, err := cache.Refresh(w.infos(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	role := plan.Role{Name: "worker", Min: size, Need: needs[0].Need, RDMA: needs[0].RDMA}
	for m := range size {
		role.Members = append(role.Members, plan.Member{Name: fmt.Sprintf("m%d", m), Rank: m})
	}
	return plan.Plan(picture, plan.Gang{Name: "g", Min: size, Roles: []plan.Role{role}}, nil, plan.Options{}).Why()
}

func boundedByGroup(t *testing.T, w *world) *cluster.Cache {
	profile := &cluster.Profile{}
	profile.SetLevels([]cluster.Level{{Name: "group", DeviceAttribute: placementGroup, Boundary: true}})
	profile.Devices(w.dra)
	cache, err := profile.Cache()
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// A placement group from device attributes bounds gangs with RDMA and no others. The
// planner gets every change of it. A node whose devices disagree is in no group.
func TestDeviceAttributesNameDomains(t *testing.T) {
	w := groups(t)
	cache := boundedByGroup(t, w)
	check := func(when, claim string, size int, want string) {
		t.Helper()
		if got := w.place(cache, claim, size); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", when, got, want)
		}
	}
	check("two with RDMA", "nics", 2, "2 members on 2 nodes in group A")
	check("three with RDMA", "nics", 3, "2 of 3 members fit the fabric; role worker is short in group A, which RDMA does not leave, though 2 more fit outside")
	check("three without", "gpus", 3, "3 members on 3 nodes in the fabric")

	w.regroup("b-s1-l1-n1", "A", false)
	check("three with RDMA, a node of B has moved to A", "nics", 3, "3 members on 3 nodes in group A")

	w.regroup("a-s1-l1-n1", "B", true)
	check("three with RDMA, the devices of a node of A disagree", "nics", 3, "2 of 3 members fit the fabric; role worker is short in group A")
	check("four without", "gpus", 4, "4 members on 4 nodes in the fabric")

	w.regroup("a-s1-l1-n1", "A", false)
	check("three with RDMA, they agree again", "nics", 3, "3 members on 3 nodes in group A")
}

// A level named by a device attribute needs plugin DRAAware.
func TestDeviceAttributeWithoutDevices(t *testing.T) {
	profile := &cluster.Profile{}
	profile.SetLevels([]cluster.Level{{Name: "group", DeviceAttribute: placementGroup}})
	_, err := profile.Cache()
	if want := "level group is named by device attribute " + placementGroup + ", which needs plugin DRAAware"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
