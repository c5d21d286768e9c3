// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"maps"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// A member whose claims have requests with alternatives (firstAvailable) may be given any
// of them. The planner chooses: its role has the first way to meet all requests, and a
// further role of the planner stands for each other way. The allocator is then shown only
// what the planner chose, see pkg/plugins/draaware.

// addAlternatives adds the planner's roles that stand for alternatives. needs are those of
// the roles so far.
func (b *builder) addAlternatives(needs []cluster.PodNeed) {
	for i := range needs {
		ways := needs[i].Alternatives
		if len(ways) == 0 {
			continue
		}
		role := b.roles[i]
		for _, way := range ways[1:] {
			alternative := role
			alternative.Role = plan.Role{
				Name: role.Name + " with " + string(way.Subrequests), Group: role.Group, Need: role.Need,
				Nodes: role.Nodes, NodesFixed: role.NodesFixed, Limit: role.Limit,
			}
			alternative.members, alternative.ownsClaims = nil, false
			alternative.choose(b.request, role.members, way)
			b.roles = append(b.roles, alternative)
			role.Alternatives = append(role.Alternatives, alternative.Name)
		}
		role.choose(b.request, role.members, ways[0])
		b.roles[i] = role
	}
}

// choose gives the role the need of one way to choose subrequests, and what the filters
// have refused to members with it.
func (r *roleInput) choose(request *gangs.Request, members []gangs.Member, way cluster.Alternative) {
	most := r.Need.PerNode
	r.Need, r.RDMA, r.subrequests, r.asks = way.Need, way.RDMA, way.Subrequests, way.Asks
	r.Need.PerNode = most
	refused := limitsOf(request, r.base, members, way.Subrequests)
	if len(refused) == 0 {
		return
	}
	r.Limit = maps.Clone(r.Limit)
	if r.Limit == nil {
		r.Limit = map[string]int{}
	}
	for node, most := range refused {
		if known, ok := r.Limit[node]; !ok || most < known {
			r.Limit[node] = most
		}
	}
}

// describeAlternative returns the end of a refusal of members with alternatives: what the
// members ask for that found no room.
func describeAlternative(decision *plan.Decision, roles []roleInput) string {
	for _, reason := range decision.Reasons {
		for i := range roles {
			if roles[i].Name == reason.Role && roles[i].asks != "" {
				return fmt.Sprintf("; members with alternatives (firstAvailable) counted with %s", roles[i].asks)
			}
		}
	}
	return ""
}
