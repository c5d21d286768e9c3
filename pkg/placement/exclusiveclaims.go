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

// exclusiveClaims are the claims of access mode ReadWriteOncePod that several members
// have, or a member and another pod. The pod that comes first keeps all others out.
type exclusiveClaims struct {
	// names are sorted. held are those that a pod of another workload uses.
	names []string
	held  sets.Set[string]
}

// readExclusive finds the exclusive claims that matter. Members that have some differ from
// members that do not.
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

// heldByOthers returns the claims that pods on nodes use which are no members.
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

// exclusivePools returns a pool for each exclusive claim: the claim itself, which one
// member can have.
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

// describeExclusive returns the end of a refusal: the claims that keep members out.
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
