// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	fwk "k8s.io/kube-scheduler/framework"

	clusterview "github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plan"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// maxBypass is the default of the plugin Gang.
const maxBypass = time.Hour

// dovetail plans gangs as the scheduler does: pkg/cluster counts, pkg/plan
// chooses the nodes, pkg/devices orders each node's devices for each member.
type dovetail struct {
	cluster *cluster
	infos   []fwk.NodeInfo
	counts  *clusterview.Devices
	survey  *clusterview.Cache
	// bypass is how long a gang may be passed before nodes are kept for it; 0
	// keeps none.
	bypass time.Duration
	turns  map[*entry]*turn
	keeper *entry
	// empty is a cluster like this one in which nothing runs.
	empty *dovetail
}

func newDovetail(c *cluster, bypass time.Duration) (*dovetail, error) {
	d, err := newPlanner(c)
	if err != nil {
		return nil, err
	}
	d.bypass, d.turns = bypass, map[*entry]*turn{}
	if bypass > 0 {
		d.empty, err = newPlanner(newCluster(c.spec))
	}
	return d, err
}

func newPlanner(c *cluster) (*dovetail, error) {
	d := &dovetail{cluster: c, infos: c.infos()}
	desk := &clusterview.Profile{}
	desk.SetLevels([]clusterview.Level{{Name: "spine", NodeLabel: fleet.LabelSpine}, {Name: "leaf", NodeLabel: fleet.LabelLeaf}})
	view := draView{c}
	d.counts, _ = desk.Devices(view)
	d.counts.Follow(view, func() bool { return true })
	c.told = func(claim *resourceapi.ResourceClaim, gone bool) {
		if gone {
			d.counts.ClaimDeleted(claim)
		} else {
			d.counts.ClaimAssumed(claim)
		}
	}
	var err error
	d.survey, err = desk.Cache()
	return d, err
}

// question is a gang in the planner's terms, and the picture to ask it of.
type question struct {
	picture *plan.Snapshot
	gang    plan.Gang
}

func (q question) answer() plan.Decision { return plan.Plan(q.picture, q.gang, nil, plan.Options{}) }

// avoiding is the question with some nodes left out.
func (q question) avoiding(nodes map[string]bool) question {
	limit := make(map[string]int, len(nodes))
	for name := range nodes {
		limit[name] = 0
	}
	role := q.gang.Roles[0]
	role.Limit = limit
	q.gang.Roles = []plan.Role{role}
	return q
}

// ask writes down what a job needs and what is free.
func (d *dovetail) ask(e *entry) (question, error) {
	first := e.pods[0]
	if d.cluster.claims[first.claim.Name] == nil { // in an imagined cluster
		d.cluster.create(first)
		defer d.cluster.remove(first)
	}
	needs, err := d.survey.Read([]*v1.Pod{first.object})
	if err != nil {
		return question{}, fmt.Errorf("reading what job %d needs: %w", e.id, err)
	}
	picture, err := d.survey.Refresh(d.infos, nil)
	if err != nil {
		return question{}, fmt.Errorf("counting what is free: %w", err)
	}
	role := plan.Role{Name: "worker", Min: len(e.pods), Need: needs[0].Need, RDMA: needs[0].RDMA}
	for i, p := range e.pods {
		role.Members = append(role.Members, plan.Member{Name: p.object.Name, Rank: i})
	}
	return question{picture, plan.Gang{Name: fmt.Sprintf("%s/job-%05d", namespace, e.id), Min: len(e.pods), Roles: []plan.Role{role}}}, nil
}

// seats are the places that the plan gives the members.
func (d *dovetail) seats(e *entry, decision *plan.Decision) ([]seat, error) {
	if len(decision.Assignments) != len(e.pods) {
		return nil, fmt.Errorf("job %d: %d of %d members were placed", e.id, len(decision.Assignments), len(e.pods))
	}
	seats := make([]seat, len(e.pods))
	for i, a := range decision.Assignments {
		if a.Member != e.pods[i].object.Name {
			return nil, fmt.Errorf("job %d: member %s stands where %s is expected", e.id, a.Member, e.pods[i].object.Name)
		}
		m := d.cluster.byName[a.Node]
		seats[i] = seat{machine: m, shown: func(p *pod) ([]*resourceapi.ResourceSlice, error) { return d.show(p, m, a.Rail) }}
	}
	return seats, nil
}

// show puts the machine's devices in the order in which the plugin DRAAware does.
func (d *dovetail) show(p *pod, m *machine, rail int) ([]*resourceapi.ResourceSlice, error) {
	if err := d.counts.Sync(); err != nil {
		return nil, fmt.Errorf("counting devices: %w", err)
	}
	need, err := d.counts.Request(p.object)
	if err != nil {
		return nil, fmt.Errorf("reading what pod %s needs: %w", p.object.Name, err)
	}
	found := d.counts.Inventory().Assess(m.node.Name, &need, rail, func(v1.ResourceName) bool { return false })
	if found.Order == nil {
		return nil, fmt.Errorf("pod %s on %s: no order of devices (%s)", p.object.Name, m.node.Name, found.Shortage)
	}
	shown := make([]*resourceapi.ResourceSlice, len(m.slices))
	for i, slice := range m.slices {
		shown[i] = found.Order.Arrange(slice)
	}
	return shown, nil
}

// pass starts gangs in the order in which they came. One for which there is no
// room is passed by those behind it, for as long as bypass says.
func (d *dovetail) pass(s *sim) error {
	for _, e := range s.waiting() {
		seats, err := d.place(s, e)
		if err != nil {
			return err
		}
		if seats == nil {
			continue
		}
		if err := s.start(e, seats); err != nil {
			return err
		}
		d.placed(s, e)
	}
	return nil
}

// place returns places for a gang, nil if there are none, or none that it may take.
func (d *dovetail) place(s *sim, e *entry) ([]seat, error) {
	if s.hopeless[e.kind()] {
		return nil, d.block(s, e)
	}
	q, err := d.ask(e)
	if err != nil {
		return nil, err
	}
	decision := q.answer()
	if !decision.Placed {
		s.hopeless[e.kind()] = true
		return nil, d.block(s, e)
	}
	if kept := d.keptFrom(e); takes(&decision, kept) {
		if decision = q.avoiding(kept).answer(); !decision.Placed {
			return nil, nil // held back: there is room, but it is kept
		}
	}
	return d.seats(e, &decision)
}

func takes(decision *plan.Decision, nodes map[string]bool) bool {
	for _, a := range decision.Assignments {
		if nodes[a.Node] {
			return true
		}
	}
	return false
}
