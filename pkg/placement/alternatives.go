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

// A member's resource claim may have requests with alternatives (firstAvailable in DRA)
// and be given any of them. The planner chooses: the member's role has the first way to
// meet all requests, and one further role of the planner stands for each other way.
// The plugin in pkg/plugins/draaware then shows the DRA allocator only the chosen
// alternatives.

// addAlternatives adds, for each role whose members have requests with alternatives
// (firstAvailable), a role of the planner for each other way to meet the requests. needs
// has, for each role so far, what a member needs on its node.
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

// choose gives the role the need of one way to meet requests with alternatives. It also
// limits the role on nodes where the filters have refused members with these
// alternatives.
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

// describeAlternative returns the end of a refusal of members with alternatives
// (firstAvailable): the devices that the role without room asks for. It returns "" for
// other refusals.
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
