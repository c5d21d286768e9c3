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

// Recover holds room for the unbound members of gangs that a crash left partly bound, and
// activates them so that their cycles come next. Without it the queue may run other groups
// first, because of a higher priority or an earlier admission.
func (c *Cycle) Recover(ctx context.Context, nodes []fwk.NodeInfo) {
	waiting, err := c.groups.waitingRoots()
	if err != nil {
		c.Logger.Error(err, "Could not look for groups that are bound in part")
		return
	}
	byName := func(a, b fwk.EntityKey) int { return cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) }
	for _, root := range slices.SortedFunc(maps.Keys(waiting), byName) {
		if !c.gate.complete(waiting[root]) {
			continue // an incomplete group has no cycle yet
		}
		if err := c.recoverGroup(ctx, root, nodes); err != nil {
			c.Logger.Error(err, "Could not plan the rest of a group that is bound in part", "group", root)
		}
	}
}

// recoverGroup holds room for the unbound members of a partly bound group.
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
	if c.Tracker.BeginPodGroupCycle(&request, time.Now()) != "" {
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

// ActivateAll activates all waiting groups.
func (c *Cycle) ActivateAll() {
	waiting, err := c.groups.waitingRoots()
	if err != nil {
		c.Logger.Error(err, "Could not look for groups that wait")
	}
	c.Host.Apply(gangstate.Effects{Activate: slices.Collect(maps.Values(waiting))})
}
