// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// maxZones is the maximum number of zones planned for a shared claim. A zone is a set of
// nodes that can use the claim's devices. Each zone costs a plan.
const maxZones = 8

// claimZones has the zones of a shared claim: the sets of nodes (several, but not all
// nodes) that can use its devices. All members with the claim must be on nodes of one
// zone. The zero value has no claim and limits nothing.
type claimZones struct {
	claim string
	// roles has the planner's names of the roles whose members use the claim.
	roles sets.Set[string]
	zones []devices.NodeSet
}

// limiting reports whether there are node sets and none of them contains all nodes.
func limiting(zones []devices.NodeSet) bool {
	return len(zones) > 0 && !slices.ContainsFunc(zones, devices.NodeSet.AllNodes)
}

func newClaimZones(claim sharedClaim, zones []devices.NodeSet, roles []roleInput) claimZones {
	z := claimZones{claim: claim.name, roles: sets.New[string](), zones: zones}
	for i := range roles {
		if slices.Contains(claim.roles, roles[i].base) {
			z.roles.Insert(roles[i].Name)
		}
	}
	return z
}

// best runs the planner once for each of the first maxZones zones (sets of nodes that can
// use the claim's devices) and returns the best answer. If the gang fits in none of them, it
// also returns a sentence that says so. Without a claim it runs the planner once.
func (z *claimZones) best(p *planner, gang plan.Gang, nodes []fwk.NodeInfo) (answer, string, error) {
	if z.claim == "" {
		return p.best(gang), "", nil
	}
	var best answer
	size := 0
	for _, zone := range z.zones[:min(len(z.zones), maxZones)] {
		outside, inside, err := divide(zone, nodes)
		if err != nil {
			return answer{}, "", err
		}
		found := p.best(withoutNodes(gang, outside, z.roles.Has))
		if size == 0 || better(&found.decision, &best.decision) {
			best, size = found, inside
		}
	}
	if best.decision.Placed {
		return best, "", nil
	}
	return best, z.refusal(&best.decision, size), nil
}

// refusal returns the sentence for a gang that does not fit while the members with the
// claim are on the nodes of one zone. size is the number of these nodes.
func (z *claimZones) refusal(decision *plan.Decision, size int) string {
	found, wanted := 0, decision.Wanted
	if len(decision.Reasons) > 0 {
		found, wanted = decision.Reasons[0].Found, decision.Reasons[0].Wanted
	}
	return fmt.Sprintf("gang %s: %d of %d members fit if the members that share resource claim %s run on the %s that can use its devices",
		decision.Gang, found, wanted, z.claim, plan.Count(size, "node"))
}

// divide returns the names of the nodes outside the zone (a set of nodes) and the number
// of nodes inside.
func divide(zone devices.NodeSet, nodes []fwk.NodeInfo) (outside []string, inside int, err error) {
	for _, info := range nodes {
		if info.Node() == nil {
			continue
		}
		holds, err := zone.Contains(info.Node())
		switch {
		case err != nil:
			return nil, 0, err
		case holds:
			inside++
		default:
			outside = append(outside, info.Node().Name)
		}
	}
	return outside, inside, nil
}

// better reports whether decision a is better than b: it places the quorum (the members that
// must start together), then leaves fewer members without a node, then costs less. If
// neither places the quorum, the better decision has room for more members.
func better(a, b *plan.Decision) bool {
	switch {
	case a.Placed != b.Placed:
		return a.Placed
	case !a.Placed:
		return len(a.Reasons) > 0 && len(b.Reasons) > 0 && a.Reasons[0].Found > b.Reasons[0].Found
	case a.Unplaced != b.Unplaced:
		return a.Unplaced < b.Unplaced
	}
	return slices.CompareFunc(a.Cost, b.Cost, func(x, y plan.Term) int { return int(min(max(x.Value-y.Value, -1), 1)) }) < 0
}
