// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// maxPlaces is how many of the places where a shared claim can be used are planned
// for: each costs a plan.
const maxPlaces = 8

// spread is a claim that members share and whose devices several nodes can use, but
// not all: its users must stand in one of the places.
type spread struct {
	claim  string
	roles  sets.Set[string]
	places []devices.NodeSet
}

// solveSpread asks the planner for each place where a shared claim can be used, and
// takes the best answer. It returns the sentence to say if there is none.
func (p *planning) solveSpread(picture *plan.Snapshot, nodes []fwk.NodeInfo) (plan.Decision, string, error) {
	if p.spread.claim == "" {
		return p.solveWhole(picture), "", nil
	}
	var best plan.Decision
	var ask plan.Gang
	size, free := 0, p.ask
	for _, place := range p.spread.places[:min(len(p.spread.places), maxPlaces)] {
		outside, inside, err := divide(place, nodes)
		if err != nil {
			return plan.Decision{}, "", err
		}
		p.ask = free
		p.keepInside(outside)
		if decision := p.solveWhole(picture); size == 0 || better(&decision, &best) {
			best, ask, size = decision, p.ask, inside
		}
	}
	p.ask = ask
	if best.Placed {
		return best, "", nil
	}
	return best, p.outOfReach(&best, size), nil
}

// outOfReach says why members that share a claim have no room where it can be used.
func (p *planning) outOfReach(decision *plan.Decision, size int) string {
	found, wanted := 0, decision.Wanted
	if len(decision.Reasons) > 0 {
		found, wanted = decision.Reasons[0].Found, decision.Reasons[0].Wanted
	}
	return fmt.Sprintf("gang %s: %d of %d members fit if those who share resource claim %s stand on the %d nodes that can use its devices",
		p.ask.Name, found, wanted, p.spread.claim, size)
}

// divide lists the nodes that are not in the place, and counts those that are.
func divide(place devices.NodeSet, nodes []fwk.NodeInfo) (outside []string, inside int, err error) {
	for _, info := range nodes {
		if info.Node() == nil {
			continue
		}
		holds, err := place.Contains(info.Node())
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

// keepInside keeps the roles that share the claim off the nodes.
func (p *planning) keepInside(outside []string) {
	p.ask.Roles = slices.Clone(p.ask.Roles)
	for i := range p.ask.Roles {
		role := &p.ask.Roles[i]
		if !p.spread.roles.Has(p.roleOf(role.Name)) {
			continue
		}
		limit := make(map[string]int, len(outside)+len(role.Limit))
		maps.Copy(limit, role.Limit)
		for _, node := range outside {
			limit[node] = 0
		}
		role.Limit = limit
	}
}

// better says whether a decision is to be taken rather than another one.
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
