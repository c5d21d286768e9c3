// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// planFixed plans a valid gang whose roles have no alternatives.
func planFixed(s *Snapshot, g *Gang, fits Fits, o Options) Decision {
	d := Decision{Gang: g.Name}
	// 1. Compile the request against this snapshot.
	p, reason := compile(s, g, fits, o, &d.Stats)
	if reason != nil {
		return d.rejected(*reason)
	}
	d.Wanted = p.pending()
	// 2. Search a placement of the whole gang, or else of the cheapest quorum: a choice of
	// members that meets the gang's minimums.
	quorums := quorumSearch{p: p}
	c, proven := quorums.choose()
	d.Stats.Steps, d.Stats.Proven = p.steps, proven
	// 3. Without a placement, explain why.
	if c == nil {
		d.Exhausted = !proven
		d.Reasons = p.explain(d.Exhausted)
		return d
	}
	// 4. Place the members beyond the quorum as near to it as possible.
	pp := quorums.restore(c)
	p.placeExtras(pp)
	// 5. Assign the nodes to members, in rank order.
	p.decide(&d, c, pp)
	return d
}

// decide fills the decision d from the placement: c has the cost, pp the nodes of the
// members.
func (p *problem) decide(d *Decision, c *chosen, pp *partial) {
	d.Placed = true
	d.Cost = p.named(c.cost)
	d.PreferredKept = c.cost[0] == 0
	d.Domain = p.domainOf(pp)
	d.Assignments = p.assign(pp)
	d.Unplaced = d.Wanted - len(d.Assignments)
	d.Stats.Steps = p.steps
	d.Stats.NodesTouched = max(d.Stats.NodesTouched, len(pp.uses))
	if d.Unplaced > 0 {
		d.Reasons = p.leftOver(pp)
	}
}
