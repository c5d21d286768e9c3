// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// request is a gang as it is to be planned, copied out of the book.
type request struct {
	gang    gangs.Gang
	members []gangs.Member
	// placed is where members stand or bind already.
	placed map[types.UID]string
	// done counts, by role, the members that have succeeded. They are in the
	// quorum and stand nowhere.
	done   map[string]int
	limits map[string]map[string]int
	holds  []gangs.Hold
	// whole says that all members are wanted in one required domain rather than a
	// quorum in a better one.
	whole bool
	// stand is where a gang of a PodGroup cycle stands among others; nil for those
	// that are in the book.
	stand *record
}

// request returns what there is to plan for a gang, or the sentence that says
// why nothing can be planned.
func (b *book) request(key gangs.Key) (request, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil {
		return request{}, "gang " + key.String() + " has no members any more"
	}
	g, v, err := b.look(rec)
	if err != nil {
		return request{}, err.Error()
	}
	if !rec.admits(v) {
		return request{}, cmp.Or(v.Problem, rec.healing(), v.Waiting)
	}
	req := request{gang: g, placed: map[types.UID]string{}, done: map[string]int{}, limits: rec.limits, holds: b.holds(key)}
	for _, m := range rec.sorted() {
		node := m.Pod.Spec.NodeName
		if node == "" && rec.attempt != nil {
			node = rec.attempt.reserved[m.Pod.UID]
		}
		switch {
		case !g.Has(m) || !gangs.Live(m.Pod):
			continue
		case done(m.Pod):
			req.done[m.Role]++
			continue
		case node != "":
			req.placed[m.Pod.UID] = node
		case gangs.Placed(m.Pod) || !gangs.Ready(m.Pod):
			continue
		}
		req.members = append(req.members, m)
	}
	var wait string
	req.gang, req.members, wait = gangs.NextBatch(g, req.members, func(m gangs.Member) bool { return req.placed[m.Pod.UID] != "" })
	return req, wait
}

// holds returns the room that other gangs' plans count on and no pod shows yet.
func (b *book) holds(but gangs.Key) []gangs.Hold {
	holds := b.rests.holds(but)
	for key, rec := range b.records {
		if key == but || rec.attempt == nil || rec.attempt.phase == failed {
			continue
		}
		att := rec.attempt
		for uid, node := range att.nodes {
			if att.reserved[uid] == "" {
				holds = append(holds, gangs.Hold{Node: node, Need: att.needs[uid]})
			}
		}
	}
	return holds
}

// planning is one gang on its way through the planner.
type planning struct {
	request
	plugin *Gang
	ask    plan.Gang
	trials trials
	// alignment is what the gang says of its members' devices.
	alignment gangs.Alignment
	// inner is the planner's group that stands for each of the gang's.
	inner map[string]string
	// base is the gang's own role of each that was split off for a carrier.
	base map[string]string
	// together are claims that keep members on one node, and spread is one that keeps
	// them on some nodes.
	together []string
	spread   spread
	// pending gives the pod of each member name that is to be placed.
	pending map[string]*v1.Pod
}

// outcome is what came of asking the planner.
type outcome struct {
	planning *planning // nil if there was nothing to ask
	decision plan.Decision
	// why says in a sentence why the gang is not placed.
	why string
	// heldBack says that it is not for the sake of another gang.
	heldBack bool
}

// plan asks the planner for a gang of the book. It returns the attempt, or nil and
// the sentence that says why not; both, if members beyond the quorum have no room.
func (g *Gang) plan(ctx context.Context, key gangs.Key, nodes []fwk.NodeInfo) (*attempt, string, error) {
	began := time.Now()
	req, refusal := g.book.request(key)
	if refusal != "" {
		return nil, refusal, nil
	}
	out, err := g.decide(ctx, req, nodes)
	if err != nil || out.planning == nil {
		return nil, out.why, err
	}
	if !out.decision.Placed {
		after, err := g.noRoom(out.planning, nodes, out.heldBack)
		return nil, out.why + after, err
	}
	return out.planning.attempt(out.decision, began), out.planning.leftOut(out.decision), nil
}

// decide asks the planner for whatever is to be placed together.
func (g *Gang) decide(ctx context.Context, req request, nodes []fwk.NodeInfo) (outcome, error) {
	survey, err := g.desk.CacheWithLabels(req.gang.Labels(), len(req.gang.Groups) > 0, nodes)
	if err != nil {
		return outcome{}, err
	}
	if wrong := unknownLevel(req.gang, survey.LevelNames()); wrong != "" {
		return outcome{why: wrong}, nil
	}
	p, refusal := g.newPlanning(ctx, req)
	if refusal != "" {
		return outcome{why: refusal}, nil
	}
	if refusal := p.prepare(survey, nodes); refusal != "" {
		return outcome{why: refusal}, nil
	}
	picture, err := survey.Refresh(nodes, req.holds)
	if err != nil {
		return outcome{}, err
	}
	decision, unreached, err := p.solveSpread(picture, nodes)
	if err != nil {
		return outcome{}, err
	}
	out := outcome{planning: &p, decision: decision}
	if p.trials.err == nil && out.decision.Placed {
		refusal = p.giveWay(picture, &out.decision)
	}
	if p.trials.err != nil {
		return outcome{}, p.trials.err
	}
	cluster.FormatAmounts(&out.decision)
	p.quote(&out.decision)
	if !out.decision.Placed {
		out.why, out.heldBack = cmp.Or(p.trials.refusal(p.gang.Key), refusal, unreached, out.decision.Why()+p.sharing()), refusal != ""
	}
	return out, nil
}

// newPlanning begins to plan a gang. It returns a sentence if what the gang says
// of its devices cannot be understood.
func (g *Gang) newPlanning(ctx context.Context, req request) (planning, string) {
	alignment, err := gangs.ParseAlignment(req.gang.Topology.Alignment, req.gang.Key.String())
	if err != nil {
		return planning{}, err.Error()
	}
	return planning{
		request:   req,
		plugin:    g,
		alignment: alignment,
		pending:   map[string]*v1.Pod{},
		trials:    trials{ctx: ctx, handle: g.handle},
	}, ""
}

// solve asks the planner, and counts the work.
func (p *planning) solve(picture *plan.Snapshot, fits plan.Fits) plan.Decision {
	decision := plan.Plan(picture, p.ask, fits, plan.Options{Budget: p.plugin.args.SearchBudget})
	metrics.Work(p.plugin.handle.ProfileName(), decision.Stats.FitsCalls, decision.Stats.NodesTouched)
	return decision
}

// prepare writes the gang in the planner's terms. It returns a sentence if a
// member's needs cannot be understood.
func (p *planning) prepare(survey *cluster.Cache, nodes []fwk.NodeInfo) string {
	p.ask = plan.Gang{Name: p.gang.Key.String()}
	p.scopes(survey)
	var shapes []*v1.Pod
	for _, role := range p.roles() {
		if members := p.of(role.Name); len(members) > 0 {
			shapes = append(shapes, p.shape(members))
			p.ask.Roles = append(p.ask.Roles, p.role(role, members))
		}
	}
	shared, shares := p.sharedClaims(survey)
	stand, need := p.carry(shapes, shared, shares)
	for _, one := range shares {
		need = append(need, justClaim(p.gang.Key.Namespace, one.claim))
	}
	needs, err := survey.Read(need)
	if err != nil {
		return p.gang.Key.Messagef("%v", err)
	}
	for i := range p.ask.Roles {
		p.describe(i, stand[i], &needs[i])
		if err := p.pin(&p.ask.Roles[i], survey, nodes); err != nil {
			return p.gang.Key.Messagef("%v", err)
		}
	}
	p.confine(shares, func(i int) devices.Reach { return survey.Reach(&needs[len(stand)+i]) })
	return ""
}

// describe adds to a role what one member needs, and the pod that stands for all.
func (p *planning) describe(i int, pod *v1.Pod, need *cluster.PodNeed) {
	role := &p.ask.Roles[i]
	need.ApplyGangAlignment(p.alignment)
	role.Need, role.RDMA = need.Need, need.RDMA
	if len(p.gang.Groups) == 0 {
		p.ask.Min += role.Min
	}
	p.trials.roles = append(p.trials.roles, &trial{pod: pod, gang: p.gang.Key.String(), alignment: p.alignment})
}

// shape is the pod that stands for its role: one that is still to be placed, if
// there is one, because its claims say what is needed.
func (p *planning) shape(members []gangs.Member) *v1.Pod {
	for _, m := range members {
		if p.placed[m.Pod.UID] == "" {
			return m.Pod
		}
	}
	return members[0].Pod
}

// pin fixes the members that claims of theirs tie to a node.
func (p *planning) pin(role *plan.Role, survey *cluster.Cache, nodes []fwk.NodeInfo) error {
	for i := range role.Members {
		pod := p.pending[role.Members[i].Name]
		if pod == nil {
			continue
		}
		node, err := survey.Pinned(pod, nodes)
		if err != nil {
			return err
		}
		role.Members[i].Node = node
	}
	return nil
}

// roles are those of the declaration, and after them those that only members
// know of: their members join without being in the quorum.
func (p *planning) roles() []gangs.Role {
	roles := slices.Clone(p.gang.Roles)
	for _, m := range p.members {
		if !slices.ContainsFunc(roles, func(r gangs.Role) bool { return r.Name == m.Role }) {
			roles = append(roles, gangs.Role{Name: m.Role})
		}
	}
	return roles
}

func (p *planning) of(role string) []gangs.Member {
	var members []gangs.Member
	for _, m := range p.members {
		if m.Role == role {
			members = append(members, m)
		}
	}
	return members
}

// role writes one role in the planner's terms. A gang that runs and lost
// members cannot ask for more than there are.
func (p *planning) role(role gangs.Role, members []gangs.Member) plan.Role {
	one := plan.Role{
		Name:      role.Name,
		Group:     p.inner[role.Group],
		Min:       min(max(0, role.Min-p.done[role.Name]), len(members)),
		Required:  role.Topology.Required,
		Preferred: role.Topology.Preferred,
		Limit:     p.limits[role.Name],
	}
	for _, m := range members {
		node := p.placed[m.Pod.UID]
		if node == "" {
			p.pending[m.Pod.Name] = m.Pod
		}
		one.Members = append(one.Members, plan.Member{Name: m.Pod.Name, Node: node, Rank: int(m.Rank.Index)})
	}
	return one
}

// attempt turns a decision into an attempt.
func (p *planning) attempt(decision plan.Decision, began time.Time) *attempt {
	att := &attempt{
		key:      p.gang.Key,
		gang:     p.gang,
		nodes:    map[types.UID]string{},
		roles:    map[types.UID]string{},
		rails:    map[types.UID]int{},
		needs:    map[types.UID]plan.Need{},
		aligned:  p.alignment,
		reserved: map[types.UID]string{},
		short:    map[string]int{},
		where:    domainOf(decision),
		began:    began,
	}
	p.seat(decision, att.nodes, att.rails)
	for _, role := range p.ask.Roles {
		name := p.roleOf(role.Name)
		att.short[name] += role.Min
		for _, m := range role.Members {
			pod := p.pending[m.Name]
			if pod == nil {
				att.short[name]--
				continue
			}
			att.roles[pod.UID], att.needs[pod.UID] = name, role.Need
		}
	}
	return att
}

// seat notes where the decision puts each member that is to be placed. It returns
// those for whom their claims had decided.
func (p *planning) seat(decision plan.Decision, nodes map[types.UID]string, rails map[types.UID]int) (pinned map[types.UID]bool) {
	for _, a := range decision.Assignments {
		uid := p.pending[a.Member].UID
		nodes[uid], rails[uid] = a.Node, a.Rail
	}
	for _, role := range p.ask.Roles {
		for _, m := range role.Members {
			if pod := p.pending[m.Name]; pod != nil && m.Node != "" {
				if pinned == nil {
					pinned = map[types.UID]bool{}
				}
				nodes[pod.UID], pinned[pod.UID] = m.Node, true
			}
		}
	}
	return pinned
}

// leftOut says why members beyond the quorum got no node, "" if all have one.
func (p *planning) leftOut(decision plan.Decision) string {
	if decision.Unplaced == 0 {
		return ""
	}
	quorum := "its quorum"
	if p.gang.Min > 0 {
		quorum += fmt.Sprintf(" of %d", p.gang.Min)
	}
	return fmt.Sprintf("gang %s has %s in %s; no room for %d more members that may join it%s",
		p.gang.Key, quorum, decision.Domain, decision.Unplaced, decision.LeftOver())
}

// domainOf names the domain of a decision for people.
func domainOf(decision plan.Decision) string {
	return strings.TrimSpace(decision.Domain.Level + " " + decision.Domain.Path)
}
