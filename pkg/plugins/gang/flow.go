// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

const (
	// drainPeriod is how often a failed attempt looks for members that still
	// wait. A member enters the scheduler's list of waiting pods only after
	// Permit returned, so one look could miss it.
	drainPeriod = 5 * time.Millisecond
	// memberLeft is why a plan ends that counts on a member which is gone already.
	memberLeft = "a member left while its place was planned"
)

// assign returns the pod's planned node, or the sentence that says why it has
// none.
func (g *Gang) assign(ctx context.Context, key gangs.Key, pod *v1.Pod, nodes []fwk.NodeInfo) (node, refusal string, err error) {
	g.once.Do(func() { g.settle(ctx, nodes) })
	node, refusal, ended := g.book.turn(key, pod.UID)
	if ended != nil {
		g.giveUp(ended, "cycles of member "+pod.Name+" end in errors")
	}
	if node != "" || refusal != "" {
		return node, refusal, nil
	}
	if message, ok := g.book.refusal(key, pod.UID, time.Now()); ok {
		return "", message, nil
	}
	refusal, err = g.planGang(ctx, key, nodes, pod.UID)
	if err != nil {
		return "", "", err
	}
	if node, _ = g.book.planned(key, pod.UID); node != "" {
		return node, "", nil
	}
	if refusal == "" {
		refusal = "gang " + key.String() + " is placed; this member is not ready to join it"
	}
	return "", refusal, nil
}

// planGang plans a gang and puts the answer in force, in the cycle of the member that
// asks; "" is none of its members. The refusal is empty if every member that is ready
// has a node.
func (g *Gang) planGang(ctx context.Context, key gangs.Key, nodes []fwk.NodeInfo, asks types.UID) (refusal string, err error) {
	start := time.Now()
	att, refusal, err := g.plan(ctx, key, nodes)
	if err != nil {
		metrics.Planned(g.handle.ProfileName(), metrics.PlanError, time.Since(start))
		return "", fmt.Errorf("planning gang %s: %w", key, err)
	}
	if att == nil {
		metrics.Planned(g.handle.ProfileName(), metrics.PlanRefused, time.Since(start))
		g.logger.V(2).Info("Gang cannot be placed", "gang", key, "reason", refusal)
		g.book.refuse(key, refusal, asks, time.Now())
		g.report.later(key)
		return refusal, nil
	}
	metrics.Planned(g.handle.ProfileName(), metrics.PlanPlaced, time.Since(start))
	g.logger.V(2).Info("Gang planned", "gang", key, "members", len(att.nodes), "domain", att.where)
	others, whole := g.book.begin(att)
	if !whole {
		g.giveUp(att, memberLeft)
		return "gang " + key.String() + " is planned again: " + memberLeft, nil
	}
	if refusal != "" {
		g.book.refuse(key, refusal, asks, time.Now())
	}
	g.activate(others)
	return refusal, nil
}

// refused ends the attempt of a member whose planned node a filter refused, and
// remembers the refusal for the next plan.
func (g *Gang) refused(d *destination, pod *v1.Pod, status *fwk.Status) {
	_, att := g.book.planned(d.key, pod.UID)
	if att == nil {
		return
	}
	reason := fmt.Sprintf("node %s refused member %s: %s", d.node, pod.Name, status.Message())
	g.logger.V(2).Info("Planned node refused", "gang", d.key, "pod", klog.KObj(pod), "node", d.node, "reason", status.Message())
	metrics.Refused(g.handle.ProfileName())
	g.book.learn(att, pod.UID, d.node)
	if g.book.single(att, pod.UID, reason, g.args.MaxReplans, time.Now()) {
		g.activate([]*v1.Pod{pod})
		return
	}
	g.giveUp(att, reason)
}

// giveUp makes everyone in the attempt give back, and then has the gang planned
// again, a bounded number of times.
func (g *Gang) giveUp(att *attempt, reason string) {
	if !g.book.fail(att, reason) {
		return
	}
	go g.drain(att)
}

// drain rejects waiting members until none holds anything. Unreserve takes each
// off the attempt.
func (g *Gang) drain(att *attempt) {
	for {
		holders := g.book.holders(att)
		if len(holders) == 0 {
			break
		}
		for _, uid := range holders {
			if w := g.handle.GetWaitingPod(uid); w != nil {
				w.Reject(Name, "gang "+att.key.String()+" gives back its places: "+att.reason)
			}
		}
		time.Sleep(drainPeriod)
	}
	g.activate(g.book.clear(att, g.args.MaxReplans, time.Now()))
	g.report.later(att.key)
}

// missingNode returns the name of a planned node that has left the cluster
// since the plan was made, "" if all are there. The informer's store is ahead of
// the snapshot of this cycle.
func (g *Gang) missingNode(att *attempt) string {
	for _, node := range g.book.nodesOf(att) {
		if _, err := g.nodes.Get(node); err != nil {
			return node
		}
	}
	return ""
}

// open lets the whole gang through Permit. It says false if the attempt failed
// since its last member arrived.
func (g *Gang) open(att *attempt) bool {
	waiting, others, ok := g.book.openGate(att)
	if !ok {
		return false
	}
	for _, uid := range waiting {
		g.allow(uid)
	}
	metrics.Gathered(g.handle.ProfileName(), time.Since(att.began))
	g.logger.V(2).Info("Gang placed", "gang", att.key, "members", len(waiting), "domain", att.where)
	g.report.placed(att, len(waiting))
	g.activate(others)
	return true
}

func (g *Gang) allow(uid types.UID) {
	if w := g.handle.GetWaitingPod(uid); w != nil {
		w.Allow(Name)
	}
}
