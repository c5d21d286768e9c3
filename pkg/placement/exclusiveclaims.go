// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// exclusiveClaims has the claims of access mode ReadWriteOncePod that several members
// have, or a member and another pod. Only one pod can use such a claim at a time.
type exclusiveClaims struct {
	// names has all these claims, sorted. held has those that a pod outside the gang uses
	// now.
	names []string
	held  sets.Set[string]
}

// readExclusive finds the ReadWriteOncePod claims that keep members out. It marks members
// with such claims as different for the planner from members without.
func (r *volumeReader) readExclusive(request *gangs.Request, nodes []fwk.NodeInfo) {
	used := sets.New[string]()
	for _, volumes := range r.pods {
		used.Insert(volumes.exclusive...)
	}
	if used.Len() == 0 {
		return
	}
	r.held = r.heldByOthers(request, nodes, used)
	for _, name := range sets.List(used) {
		if r.users[name] > 1 || r.held.Has(name) {
			r.names = append(r.names, name)
		}
	}
	for _, volumes := range r.pods {
		volumes.exclusive = slices.DeleteFunc(volumes.exclusive, func(name string) bool { return !slices.Contains(r.names, name) })
		slices.Sort(volumes.exclusive)
		for _, name := range volumes.exclusive {
			volumes.addWords("exclusive", name)
		}
	}
}

// heldByOthers returns those of the claims that pods outside the gang use. It reads the
// pods that are on nodes.
func (r *volumeReader) heldByOthers(request *gangs.Request, nodes []fwk.NodeInfo, claims sets.Set[string]) sets.Set[string] {
	count := map[string]int{}
	for _, info := range nodes {
		refs := info.GetPVCRefCounts()
		if len(refs) == 0 {
			continue
		}
		for name := range claims {
			count[name] += refs[request.Gang.Key.Namespace+"/"+name]
		}
	}
	for _, m := range request.Members {
		if request.Placed[m.Pod.UID] == "" {
			continue
		}
		for _, name := range r.of(m.Pod).exclusive {
			count[name]--
		}
	}
	held := sets.New[string]()
	for name, n := range count {
		if n > 0 {
			held.Insert(name)
		}
	}
	return held
}

// exclusivePools returns a planner's pool (a set of items of which each member takes
// some) for each ReadWriteOncePod claim that several pods want. Its only item is the
// claim, which one member can take. It has no item if a pod outside the gang has the
// claim.
func (r *volumeReader) exclusivePools(roles []roleInput) []plan.Pool {
	var pools []plan.Pool
	for _, name := range r.names {
		pool := plan.Pool{Name: fmt.Sprintf("%s claim %s", v1.ReadWriteOncePod, name)}
		take := []int{0}
		if r.held.Has(name) {
			take = nil
		} else {
			pool.Items = []plan.Item{{}}
		}
		for i := range roles {
			if slices.Contains(r.of(roles[i].sample).exclusive, name) {
				pool.Users = append(pool.Users, plan.PoolUser{Role: roles[i].Name, Takes: [][]int{take}})
			}
		}
		pools = append(pools, pool)
	}
	return pools
}

// describeExclusive returns the end of a refusal: the ReadWriteOncePod claims that keep
// members out.
func (e *exclusiveClaims) describeExclusive() string {
	text := ""
	for _, name := range e.names {
		if e.held.Has(name) {
			text += fmt.Sprintf("; claim %s is %s and another pod uses it", name, v1.ReadWriteOncePod)
		} else {
			text += fmt.Sprintf("; claim %s is %s, so only one of its members can run", name, v1.ReadWriteOncePod)
		}
	}
	return text
}
