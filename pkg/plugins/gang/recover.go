// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// settleTimeout bounds the wait for the first full picture of the cluster; a kind of
// object that cannot be listed must not stop everyone else.
const settleTimeout = 10 * time.Second

// settle waits until the book knows what exists, and then plans the gangs that
// a crash left half bound before any other: the room that they need belongs to
// them.
func (g *Gang) settle(ctx context.Context, nodes []fwk.NodeInfo) {
	err := wait.PollUntilContextTimeout(ctx, drainPeriod, settleTimeout, true,
		func(context.Context) (bool, error) { return g.settled(), nil })
	if err != nil {
		g.logger.Info("Not all objects that declare gangs could be listed in time; going on without them", "timeout", settleTimeout)
	}
	for _, key := range g.book.halfBound() {
		if _, err := g.planGang(ctx, key, nodes, ""); err != nil {
			g.logger.Error(err, "Could not plan a gang that is bound in part", "gang", key)
		}
		// All its members are in the queue, and none of them is asked about events.
		g.askLater(key, g.book.missed(key, time.Now(), nil))
	}
	if !g.native {
		return
	}
	if err := g.settleGroups(ctx, nodes); err != nil {
		g.logger.Error(err, "Could not look for groups that are bound in part")
	}
}

// halfBound returns the gangs that are placed in part, in the order of their
// keys: at start these are the ones that a crash interrupted.
func (b *book) halfBound() []gangs.Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recovered {
		return nil
	}
	b.recovered = true
	var keys []gangs.Key
	for key, rec := range b.records {
		if rec.native != nil || rec.attempt != nil || len(rec.pending()) == 0 {
			continue
		}
		if g, v, err := b.look(rec); err == nil && rec.running > 0 && v.Placed < g.Min {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

// restLife is how long room is kept for the rest of a gang whose PodGroup cycle does not
// come. It comes at once unless the gang has lost members meanwhile.
const restLife = 30 * time.Second

// rests is the room for the rest of gangs of PodGroup cycles that a crash left half
// bound: from the scheduler's first cycle on, until each has had one. The queue may
// bring others before it, of a higher priority, or because the gate let them in sooner.
type rests struct {
	of map[gangs.Key]rest
	// lapsed says that room was kept in vain, and others may have been refused for it.
	lapsed bool
}

type rest struct {
	holds []gangs.Hold
	since time.Time
}

// keepRest keeps the room that a plan has for members that wait.
func (b *book) keepRest(att *attempt, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := rest{since: now}
	for uid, node := range att.nodes {
		one.holds = append(one.holds, gangs.Hold{Node: node, Need: att.needs[uid]})
	}
	if b.rests.of == nil {
		b.rests.of = map[gangs.Key]rest{}
	}
	b.rests.of[att.key] = one
}

// holds returns the room that is kept for others than that gang.
func (r *rests) holds(but gangs.Key) []gangs.Hold {
	var holds []gangs.Hold
	for key, one := range r.of {
		if key != but {
			holds = append(holds, one.holds...)
		}
	}
	return holds
}

// end notes that a gang had its cycle, and whether it was placed in it.
func (r *rests) end(key gangs.Key, placed bool) {
	if _, ok := r.of[key]; ok {
		delete(r.of, key)
		r.lapsed = r.lapsed || !placed
	}
}

// lapsed says, once, that room was kept in vain.
func (b *book) lapsed(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, one := range b.rests.of {
		if now.Sub(one.since) > restLife {
			b.rests.end(key, false)
		}
	}
	lapsed := b.rests.lapsed
	b.rests.lapsed = false
	return lapsed
}

// settleGroups keeps room for the gangs of PodGroup cycles that a crash left half bound,
// and has their cycles come next.
func (g *Gang) settleGroups(ctx context.Context, nodes []fwk.NodeInfo) error {
	waiting, err := g.waitingGroups()
	if err != nil {
		return err
	}
	byName := func(a, b fwk.EntityKey) int { return cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) }
	for _, root := range slices.SortedFunc(maps.Keys(waiting), byName) {
		if !g.complete(waiting[root]) {
			continue // it has no cycle before it is
		}
		if err := g.settleGroup(ctx, root, nodes); err != nil {
			g.logger.Error(err, "Could not plan the rest of a group that is bound in part", "group", root)
		}
	}
	return nil
}

func (g *Gang) settleGroup(ctx context.Context, root fwk.EntityKey, nodes []fwk.NodeInfo) error {
	group, err := g.groupAt(root)
	if err != nil {
		return err
	}
	req, err := g.groupRequest(group)
	if err != nil || len(req.placed) == 0 {
		return err
	}
	done, err := g.succeeded(&req)
	if err != nil || req.gang.Quorate(slices.Concat(req.members, done), stands) {
		return err
	}
	out, err := g.decide(ctx, req, nodes)
	if err != nil || out.planning == nil || !out.decision.Placed {
		return err
	}
	now := time.Now()
	g.book.keepRest(out.planning.attempt(out.decision, now), now)
	g.activate(podsBelow(group))
	return nil
}

// waitingGroups returns the topmost groups of pods that wait for a node, with one of
// these pods.
func (g *Gang) waitingGroups() (map[fwk.EntityKey]*v1.Pod, error) {
	pods, err := g.handle.SharedInformerFactory().Core().V1().Pods().Lister().List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	waiting := map[fwk.EntityKey]*v1.Pod{}
	for _, pod := range pods {
		if gangs.InPodGroup(pod) && g.awaitsCycle(pod) {
			waiting[g.rootOf(pod)] = pod
		}
	}
	return waiting, nil
}

// wakeGroups has all groups tried again that wait.
func (g *Gang) wakeGroups() {
	waiting, err := g.waitingGroups()
	if err != nil {
		g.logger.Error(err, "Could not look for groups that wait")
	}
	g.activate(slices.Collect(maps.Values(waiting)))
}
