// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"
	"slices"
)

// NextBatch returns the members to plan now, and the gang with the minimum of each role
// (members with one task) set to what the plan must place. The members to plan are those
// already placed and those that wait, except the succeeded ones, and those of a role with a
// Step (so many of its members start together) that cannot start yet. All members passed in
// must be live members of the gang (neither failed nor being deleted), and placed or ready
// to be scheduled; placed reports which are placed.
//
// Before the gang has started, NextBatch takes its quorum (the members that must start
// together). After that it takes the members of roles with a Step in whole steps: first the
// missing members of a partly placed step, because a recreated member must not wait; then a
// step whose members all exist.
//
// If members of such roles wait and no member can start, NextBatch returns a sentence with
// the reason.
func NextBatch(g Gang, members []Member, placed func(Member) bool) (Gang, []Member, string) {
	started := g.Min == 0 || slices.ContainsFunc(members, placed)
	g, members = setAsideDone(g, members)
	stepped := slices.ContainsFunc(g.Roles, func(r Role) bool { return r.Step > 1 })
	if !stepped {
		return g, members, ""
	}
	g.Roles = slices.Clone(g.Roles)
	var now []Member
	waits, sentence := 0, ""
	for _, m := range members {
		if r, ok := g.Role(m.Role); !ok || r.Step <= 1 {
			now = append(now, m)
			if !placed(m) {
				waits++
			}
		}
	}
	for i := range g.Roles {
		r := &g.Roles[i]
		if r.Step <= 1 {
			continue
		}
		stand, wait := split(r.Name, members, placed)
		take := r.take(stand, wait, started)
		if len(take) == 0 && len(wait) > 0 && sentence == "" {
			sentence = fmt.Sprintf("waiting for %d of %d members of role %s of %s, which start together",
				r.Step-len(wait)%r.Step, r.Step, r.Name, g.Key)
		}
		r.Min = len(stand) + len(take)
		now = append(append(now, stand...), take...)
		waits += len(take)
	}
	if waits > 0 {
		sentence = ""
	}
	return g, now, sentence
}

// setAsideDone removes the members that have succeeded and subtracts them from the minimums
// of their roles: the nodes where they ran no longer constrain the gang.
func setAsideDone(g Gang, members []Member) (Gang, []Member) {
	if !slices.ContainsFunc(members, isDone) {
		return g, members
	}
	g.Roles = slices.Clone(g.Roles)
	var rest []Member
	for _, m := range members {
		if !isDone(m) {
			rest = append(rest, m)
			continue
		}
		at := slices.IndexFunc(g.Roles, func(r Role) bool { return r.Name == m.Role })
		if at >= 0 && g.Roles[at].Min > 0 {
			g.Roles[at].Min--
		}
	}
	return g, rest
}

// split returns the placed members of a role, and its waiting members in the order of
// byQuorumOrder (those that may start first).
func split(role string, members []Member, placed func(Member) bool) (stand, wait []Member) {
	for _, m := range members {
		switch {
		case m.Role != role:
		case placed(m):
			stand = append(stand, m)
		default:
			wait = append(wait, m)
		}
	}
	slices.SortFunc(wait, byQuorumOrder)
	return stand, wait
}

// take returns which of wait, the role's waiting members, to plan now: those that the
// placed members, stand, lack to reach the role's minimum, or else, if the gang has
// started, those that belong to one step (Role.Step members that start together). It
// returns nil if none can start now.
func (r Role) take(stand, wait []Member, started bool) []Member {
	if missing := r.Min - len(stand); missing > 0 && len(wait) >= missing {
		return wait[:missing]
	}
	if !started {
		return nil
	}
	for _, begun := range []bool{true, false} {
		for _, replica := range replicasOf(wait) {
			in := len(ofReplica(stand, replica))
			if replica == "" {
				in %= r.Step
			}
			missing, there := max(0, r.Step-in), ofReplica(wait, replica)
			if begun && in > 0 || !begun && in == 0 && len(there) >= missing {
				if n := min(missing, len(there)); n > 0 {
					return there[:n]
				}
			}
		}
	}
	return nil
}

// replicasOf returns the distinct replica names of the members (the members of a step may
// be called a replica), in the members' order.
func replicasOf(members []Member) []string {
	var replicas []string
	for _, m := range members {
		if !slices.Contains(replicas, m.Replica) {
			replicas = append(replicas, m.Replica)
		}
	}
	return replicas
}

func ofReplica(members []Member, replica string) []Member {
	var of []Member
	for _, m := range members {
		if m.Replica == replica {
			of = append(of, m)
		}
	}
	return of
}
