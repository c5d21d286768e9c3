// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// A storage class without provisioner has only the volumes that exist. If each volume can be
// used on one node and only one role waits for volumes of the class, Role.Limit (the most
// members of a role on a node) is enough to count them. Otherwise the volumes become a pool
// of the planner, a set of items of which each member takes some.

// pools returns a planner's pool (a set of items of which each member takes some) for each
// storage class whose volumes Role.Limit cannot count: several roles wait for such volumes,
// or some of the volumes can be used on several nodes, or members of the role already have a
// node.
func (r *volumeReader) pools(roles []roleInput, nodes []fwk.NodeInfo) []plan.Pool {
	users := map[string][]int{}
	for i := range roles {
		for _, claim := range r.of(roles[i].sample).waiting {
			class := volume.GetPersistentVolumeClaimClass(claim)
			if n := len(users[class]); n == 0 || users[class][n-1] != i {
				users[class] = append(users[class], i)
			}
		}
	}
	var pools []plan.Pool
	for _, class := range slices.Sorted(maps.Keys(users)) {
		if len(users[class]) > 1 || len(r.free[class]) > 0 || hasBound(roles[users[class][0]].Members) {
			pools = append(pools, r.pool(class, roles, users[class], nodes))
		}
	}
	return pools
}

func hasBound(members []plan.Member) bool {
	return slices.ContainsFunc(members, func(m plan.Member) bool { return m.Node != "" })
}

// pool returns the planner's pool with the free volumes of a storage class, for the roles
// (indices users) that wait for them. The stock plugin VolumeBinding gives a pod the
// smallest volume on its node, whatever other pods need, and the members come in any
// order. The pool therefore requires that every order leaves enough volumes (AnyOrder).
func (r *volumeReader) pool(class string, roles []roleInput, users []int, nodes []fwk.NodeInfo) plan.Pool {
	pool := plan.Pool{Name: "free volumes of class " + class, AnyOrder: true}
	var volumes []*v1.PersistentVolume
	for at := range r.freeAt {
		if at[0] == class {
			volumes = append(volumes, r.freeAt[at]...)
		}
	}
	volumes = append(volumes, r.free[class]...)
	slices.SortFunc(volumes, func(a, b *v1.PersistentVolume) int { return cmp.Compare(a.Name, b.Name) })
	where := newNodeFinder(nodes)
	for _, v := range volumes {
		size := v.Spec.Capacity[v1.ResourceStorage]
		pool.Items = append(pool.Items, plan.Item{Nodes: where.nodesOf(v), Size: size.Value()})
	}
	for _, i := range users {
		user := plan.PoolUser{Role: roles[i].Name}
		for _, claim := range r.of(roles[i].sample).waiting {
			if volume.GetPersistentVolumeClaimClass(claim) == class {
				user.Takes = append(user.Takes, accepted(claim, volumes))
			}
		}
		pool.Users = append(pool.Users, user)
	}
	return pool
}

// accepted returns the indices of the volumes that a claim may get on some node.
func accepted(claim *v1.PersistentVolumeClaim, volumes []*v1.PersistentVolume) []int {
	var take []int
	for i, v := range volumes {
		found, err := volume.FindMatchingVolume(claim, volumes[i:i+1], nil, nil, false, true)
		if err == nil && found != nil && volume.CheckAccessModes(claim, v) {
			take = append(take, i)
		}
	}
	return take
}

// nodeFinder finds the nodes where the node affinity of volumes allows their use.
type nodeFinder struct {
	nodes  []fwk.NodeInfo
	byHost map[string][]fwk.NodeInfo
	// known caches the names of the nodes by the encoded node affinity.
	known map[string][]string
}

func newNodeFinder(nodes []fwk.NodeInfo) *nodeFinder {
	f := &nodeFinder{nodes: nodes, byHost: map[string][]fwk.NodeInfo{}, known: map[string][]string{}}
	for _, info := range nodes {
		if node := info.Node(); node != nil {
			host := node.Labels[v1.LabelHostname]
			f.byHost[host] = append(f.byHost[host], info)
		}
	}
	return f
}

// nodesOf returns the names of the nodes where a volume can be used, nil for all.
func (f *nodeFinder) nodesOf(v *v1.PersistentVolume) []string {
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil {
		return nil
	}
	encoded, err := v.Spec.NodeAffinity.Marshal()
	if names, known := f.known[string(encoded)]; err == nil && known {
		return names
	}
	candidates := f.nodes
	if host := hostOf(v); host != "" {
		candidates = f.byHost[host]
	}
	names := []string{}
	for _, info := range candidates {
		if node := info.Node(); node != nil && volume.CheckNodeAffinity(v, node.Labels) == nil {
			names = append(names, node.Name)
		}
	}
	f.known[string(encoded)] = names
	return names
}
