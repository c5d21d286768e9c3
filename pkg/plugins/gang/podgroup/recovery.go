// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

// Recover holds room for the rest of gangs that a crash left partly bound, and has their
// cycles come next: the queue may bring other groups before them, of a higher priority, or
// because they were admitted sooner.
func (c *Cycle) Recover(ctx context.Context, nodes []fwk.NodeInfo) {
	waiting, err := c.groups.waitingRoots()
	if err != nil {
		c.Logger.Error(err, "Could not look for groups that are bound in part")
		return
	}
	byName := func(a, b fwk.EntityKey) int { return cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) }
	for _, root := range slices.SortedFunc(maps.Keys(waiting), byName) {
		if !c.gate.complete(waiting[root]) {
			continue // it has no cycle before it is complete
		}
		if err := c.recoverGroup(ctx, root, nodes); err != nil {
			c.Logger.Error(err, "Could not plan the rest of a group that is bound in part", "group", root)
		}
	}
}

// recoverGroup holds room for the rest of a group if it is bound in part.
func (c *Cycle) recoverGroup(ctx context.Context, root fwk.EntityKey, nodes []fwk.NodeInfo) error {
	group, err := c.groups.groupAt(root)
	if err != nil {
		return err
	}
	request, err := c.groupRequest(group)
	if err != nil || len(request.Placed) == 0 {
		return err
	}
	done, err := c.succeeded(&request)
	if err != nil || !gangstate.IsPartial(&request, done) {
		return err
	}
	if c.Tracker.BeginPodGroupCycle(&request) != "" {
		return nil
	}
	outcome, err := c.Placer.Place(ctx, request, nodes)
	if err != nil || !outcome.Placed {
		return err
	}
	c.Tracker.HoldForRest(&request, outcome.Assignment, time.Now())
	c.Host.Apply(gangstate.Effects{Activate: podsBelow(group)})
	return nil
}

// ActivateAll has all groups tried again that wait.
func (c *Cycle) ActivateAll() {
	waiting, err := c.groups.waitingRoots()
	if err != nil {
		c.Logger.Error(err, "Could not look for groups that wait")
	}
	c.Host.Apply(gangstate.Effects{Activate: slices.Collect(maps.Values(waiting))})
}
