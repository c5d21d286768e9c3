// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"context"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// groupPlan is what was planned in a PodGroup cycle. Only that cycle touches it,
// and it does one thing after the other.
type groupPlan struct {
	key gangs.Key
	// stock says that there is nothing to plan: its pods take ordinary cycles.
	stock bool
	nodes map[types.UID]string
	rails map[types.UID]int
	roles map[types.UID]string
	names map[types.UID]string
	// pinned are the members whose claims have their devices on the planned node.
	pinned  map[types.UID]bool
	aligned gangs.Alignment
	// where is the domain that the plan chose, for people.
	where string
	// refusal says why there is no plan; leftOut why some members have no part in it.
	refusal, leftOut string
	// status is the refusal that the cycle was given in place of nodes, fit the error
	// in it.
	status *fwk.Status
	fit    *framework.FitError
	// request, outcome and on are what the refusal came from.
	request request
	outcome outcome
	on      []fwk.NodeInfo
	// passed says that members are bound by it, of which those who waited in front of
	// the gang were told.
	passed bool
	// tried are the members whose cycle began, in that order; seated those for whom
	// a node was reserved.
	tried  []types.UID
	seated map[types.UID]bool
}

const groupPlanKey fwk.StateKey = Name + "/group"

// Clone returns p: a cycle has one plan.
func (p *groupPlan) Clone() fwk.StateData { return p }

// groupPlanOf finds the plan of the cycle, which the topmost group has.
func groupPlanOf(state fwk.PodGroupCycleState) *groupPlan {
	for state != nil {
		if data, err := state.Read(groupPlanKey); err == nil {
			p, _ := data.(*groupPlan)
			return p
		}
		parent := state.GetParentPlacementCycleState()
		if parent == nil {
			return nil
		}
		state = parent.GetPodGroupSchedulingCycle()
	}
	return nil
}

// why says in a sentence why members have no node.
func (p *groupPlan) why() string {
	return cmp.Or(p.refusal, p.leftOut, "gang "+p.key.String()+" is placed without this member, which is tried again")
}

func (p *groupPlan) instructions(uid types.UID) cluster.Planned {
	planned := cluster.Planned{Node: p.nodes[uid], Rail: -1, Gang: p.key.String(), Alignment: p.aligned}
	if rail, ok := p.rails[uid]; ok {
		planned.Rail = rail
	}
	return planned
}

func (p *groupPlan) open(uid types.UID) { p.tried = append(p.tried, uid) }

// seatedIn notes in the cycle's plan that a node was reserved for the pod.
func seatedIn(state fwk.CycleState, pod *v1.Pod) {
	if !state.IsPodGroupSchedulingCycle() {
		return
	}
	if p := groupPlanOf(state.GetPodGroupSchedulingCycle()); p != nil && !p.stock {
		p.seated[pod.UID] = true
	}
}

// refusedMember is a member whose planned node a filter refused.
type refusedMember struct {
	pod, node, role string
	// held is how many members of its role had the node before.
	held int
	// stuck says that no other plan would help: its claims have their devices on that
	// node, and so have those of everybody else who is planned there.
	stuck bool
}

func (m refusedMember) sentence(key gangs.Key) string {
	return key.Messagef("node %s refused member %s", m.node, m.pod)
}

func (p *groupPlan) refused() (refusedMember, bool) {
	for _, uid := range p.tried {
		if p.seated[uid] {
			continue
		}
		one := refusedMember{pod: p.names[uid], node: p.nodes[uid], role: p.roles[uid]}
		for other := range p.seated {
			if p.nodes[other] == one.node && p.roles[other] == one.role {
				one.held++
			}
		}
		one.stuck = p.pinned[uid]
		for other, node := range p.nodes {
			one.stuck = one.stuck && (node != one.node || p.pinned[other])
		}
		return one, true
	}
	return refusedMember{}, false
}

// planGroup plans the group of a cycle, with all groups below it.
func (g *Gang) planGroup(ctx context.Context, group fwk.PodGroupInfo, nodes []fwk.NodeInfo) (*groupPlan, error) {
	g.once.Do(func() { g.settle(ctx, nodes) })
	req, err := g.groupRequest(group)
	if err != nil {
		return nil, err
	}
	return g.planRequest(ctx, req, nodes)
}

// planRequest plans what a cycle is to place.
func (g *Gang) planRequest(ctx context.Context, req request, nodes []fwk.NodeInfo) (*groupPlan, error) {
	start := time.Now()
	req.stand = newNative(g.book.profile, req)
	p := &groupPlan{
		key: req.gang.Key, request: req, on: nodes, nodes: map[types.UID]string{}, rails: map[types.UID]int{}, roles: map[types.UID]string{},
		names: map[types.UID]string{}, seated: map[types.UID]bool{},
	}
	if p.stock = leftToStock(req.gang); p.stock {
		return p, nil
	}
	if p.refusal = cmp.Or(req.gang.Problem, g.book.healingOf(p.key), g.refusals.verdict(p.key)); p.refusal != "" {
		return p, nil
	}
	for _, m := range req.members {
		p.roles[m.Pod.UID], p.names[m.Pod.UID] = m.Role, m.Pod.Name
	}
	out, err := g.decide(ctx, req, nodes)
	if err != nil {
		metrics.Planned(g.handle.ProfileName(), metrics.PlanError, time.Since(start))
		return nil, err
	}
	if out.planning == nil || !out.decision.Placed {
		metrics.Planned(g.handle.ProfileName(), metrics.PlanRefused, time.Since(start))
		p.refusal, p.outcome = out.why, out
		g.refusals.forget(p.key)
		g.logger.V(2).Info("Gang cannot be placed", "gang", p.key, "reason", p.refusal)
		return p, nil
	}
	metrics.Planned(g.handle.ProfileName(), metrics.PlanPlaced, time.Since(start))
	p.aligned, p.leftOut, p.where = out.planning.alignment, out.planning.leftOut(out.decision), domainOf(out.decision)
	p.pinned = out.planning.seat(out.decision, p.nodes, p.rails)
	g.logger.V(2).Info("Gang planned", "gang", p.key, "members", len(p.nodes), "domain", p.where)
	return p, nil
}

// leftToStock says that nothing holds the members together: each may go anywhere,
// with any number of others.
func leftToStock(g gangs.Gang) bool {
	return g.Min <= 1 && g.MinField == "" && len(g.Groups) == 0 && g.Topology == (gangs.Topology{}) && g.Problem == ""
}

// refusals remembers what filters refused of plans for groups, from one cycle of a
// group to its next.
type refusals struct {
	mu sync.Mutex
	of map[gangs.Key]*refusalsOf
}

type refusalsOf struct {
	limits  map[string]map[string]int
	replans int
	at      time.Time
	// last is what the last of too many refusals was, to be told once.
	last string
	// unread says that no cycle has come since.
	unread bool
}

// refusalLife is how long the refusals of a group are remembered at most: one that
// was deleted meanwhile never comes to be forgotten otherwise.
const refusalLife = 10 * time.Minute

// limits returns what is remembered of a group, to be read only.
func (r *refusals) limits(key gangs.Key) map[string]map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.of[key]; one != nil {
		one.unread = false
		return one.limits
	}
	return nil
}

// unread says that no cycle of the group has come since it was refused.
func (r *refusals) unread(key gangs.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[key] != nil && r.of[key].unread
}

// verdict returns once, instead of a plan, what was last refused to a group that was
// planned too often.
func (r *refusals) verdict(key gangs.Key) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.of[key]
	if one == nil || one.last == "" {
		return ""
	}
	delete(r.of, key)
	return one.last
}

// learn remembers that a node takes no more than so many members of a role. It
// says false, and forgets all but the sentence, if the group was planned often enough.
func (r *refusals) learn(key gangs.Key, member refusedMember, maxReplans int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, one := range r.of {
		if now.Sub(one.at) > refusalLife {
			delete(r.of, other)
		}
	}
	one := r.of[key]
	if one == nil {
		one = &refusalsOf{limits: map[string]map[string]int{}}
		if r.of == nil {
			r.of = map[gangs.Key]*refusalsOf{}
		}
		r.of[key] = one
	}
	if one.replans++; one.replans > maxReplans {
		r.of[key] = &refusalsOf{last: member.sentence(key), at: now, unread: true}
		return false
	}
	limit(one.limits, member.role, member.node, member.held)
	one.at, one.unread = now, true
	return true
}

func (r *refusals) forget(key gangs.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, key)
}
