// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// PodGroupPostFilter looks why a group was refused. It comes once in each cycle, before
// anybody considers preemption, which plays the cycle over with fewer pods in the
// cluster; so whatever a refusal leads to is decided here and not by the plan.
func (g *Gang) PodGroupPostFilter(ctx context.Context, state fwk.PodGroupCycleState, group fwk.PodGroupInfo, _ fwk.PodGroupSchedulingFunc) (*fwk.PodGroupPostFilterResult, *fwk.Status) {
	p := groupPlanOf(state)
	if p == nil || p.stock {
		return nil, fwk.NewStatus(fwk.Unschedulable)
	}
	if member, ok := p.refused(); ok {
		return nil, g.memberRefused(p, member, podsBelow(group))
	}
	code, after, err := g.groupRefused(ctx, p)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	return nil, p.say(code, p.why()+after)
}

// memberRefused has a group planned again without the node that a filter refused, a
// bounded number of times. After that it has another cycle, which only says so.
func (g *Gang) memberRefused(p *groupPlan, member refusedMember, pods []*v1.Pod) *fwk.Status {
	g.logger.V(2).Info("Planned node refused", "gang", p.key, "pod", member.pod, "node", member.node)
	metrics.Refused(g.handle.ProfileName())
	reason := member.sentence(p.key)
	if member.stuck {
		// Devices have to be given back first, which the next in the profile does.
		return fwk.NewStatus(fwk.Unschedulable, reason+", where its claims have their devices")
	}
	if g.refusals.learn(p.key, member, g.args.MaxReplans, time.Now()) {
		reason += "; it is planned again without that"
	}
	go g.again(p.key, pods[:min(1, len(pods))])
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason)
}

const (
	againPeriod  = 20 * time.Millisecond
	againTimeout = 30 * time.Second
)

// again has a refused group planned again as soon as its cycle has ended: until then
// the queue does not have it, and after that it would keep it for its backoff.
func (g *Gang) again(key gangs.Key, pods []*v1.Pod) {
	for end := time.Now().Add(againTimeout); g.refusals.unread(key) && time.Now().Before(end); {
		g.activate(pods)
		time.Sleep(againPeriod)
	}
}

// groupRefused does what follows for a group that has no plan, and returns what that
// adds to its sentence. Preemption is not to be considered for one that moves.
func (g *Gang) groupRefused(ctx context.Context, p *groupPlan) (code fwk.Code, after string, err error) {
	if p.refusal == "" {
		return fwk.Unschedulable, "", nil // it runs, and others may join it where there is room
	}
	done, err := g.succeeded(&p.request)
	if err != nil {
		return 0, "", err
	}
	g.book.refuseNative(p.request, done, p.refusal, time.Now())
	if p.outcome.heldBack {
		g.book.holdBack(p.key)
	}
	if planning := p.outcome.planning; planning != nil {
		planning.trials.ctx = ctx // that of the plan has ended
		if after, err = g.noRoom(planning, p.on, p.outcome.heldBack); err != nil {
			return 0, "", err
		}
	}
	g.book.settleNative(p.key)
	if moves := g.book.healingOf(p.key); moves != "" {
		p.refusal = moves
		return fwk.UnschedulableAndUnresolvable, "", nil
	}
	return fwk.Unschedulable, after, nil
}

// succeeded returns the members that are done. The PodGroup cycle does not count them;
// but a gang whose members end one after the other has lost nobody.
func (g *Gang) succeeded(req *request) ([]gangs.Member, error) {
	if len(req.placed) == 0 {
		return nil, nil
	}
	found, err := g.ended.GetIndexer().ByIndex(cache.NamespaceIndex, req.gang.Key.Namespace)
	if err != nil {
		return nil, fmt.Errorf("finding members of %s that are done: %w", req.gang.Key, err)
	}
	var members []gangs.Member
	for _, obj := range found {
		pod, ok := obj.(*v1.Pod)
		if !ok || !done(pod) || !gangs.InPodGroup(pod) {
			continue
		}
		if m, ok := req.gang.Joined(pod); ok {
			members = append(members, m)
		}
	}
	return members, nil
}

// say puts the sentence where users read it. The status of a group that was refused as
// a whole begins with the text of its error, which its pods have taken over by now: on
// the PodGroup the sentence stands alone, and pods get it as it is in the end. It is
// not returned as a reason: preemption's would replace it, and the groups of a hierarchy
// share one status, to which what is returned is added once for each of them.
func (p *groupPlan) say(code fwk.Code, sentence string) *fwk.Status {
	if p.status == nil {
		return fwk.NewStatus(code, sentence)
	}
	p.fit.Diagnosis.PreFilterMsg = sentence
	p.status.WithError(nil).AppendReason(sentence)
	return fwk.NewStatus(code)
}
