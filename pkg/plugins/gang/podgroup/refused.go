// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// PodGroupPostFilter records the reason for a group's refusal. It runs once per cycle,
// before preemption. Preemption repeats the cycle with fewer pods in the cluster, so the
// plan itself must not record the refusal.
func (c *Cycle) PodGroupPostFilter(ctx context.Context, state fwk.PodGroupCycleState, group fwk.PodGroupInfo, _ fwk.PodGroupSchedulingFunc) (*fwk.PodGroupPostFilterResult, *fwk.Status) {
	p := planOf(state)
	if p == nil || p.stock {
		return nil, fwk.NewStatus(fwk.Unschedulable)
	}
	if member, ok := p.refusedMember(); ok {
		return nil, c.memberRefused(p, member, podsBelow(group))
	}
	code, addition, err := c.groupRefused(ctx, p)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	if p.answer.Temporary {
		c.tryAgain(p.key(), podsBelow(group))
	}
	return nil, p.write(code, p.why()+addition)
}

// memberRefused plans a group again without the node that a filter refused, a limited
// number of times. After that, the group's next cycle only repeats the refusal.
func (c *Cycle) memberRefused(p *cyclePlan, member refusedMember, pods []*v1.Pod) *fwk.Status {
	c.Logger.V(2).Info("Planned node refused", "gang", p.key(), "pod", member.pod, "node", member.Node)
	metrics.Refused(c.Handle.ProfileName())
	reason := member.Sentence
	if member.stuck {
		// The group is not planned again before the member's devices are freed. The next plugin
		// at this extension point, DRAAware, frees them.
		return fwk.NewStatus(fwk.Unschedulable, reason+", where its claims have their devices")
	}
	if c.Tracker.PodGroupFilterRefused(&p.request, member.RefusedMember, time.Now()) {
		reason += "; it is planned again without that"
	}
	go c.repeatCycle(p.key(), pods[:min(1, len(pods))])
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason)
}

const (
	repeatPeriod  = 20 * time.Millisecond
	repeatTimeout = 30 * time.Second
)

// repeatCycle activates a refused group once its cycle has ended. Before that the queue
// does not have the group; later the queue would keep it in backoff.
func (c *Cycle) repeatCycle(key gangs.Key, pods []*v1.Pod) {
	for end := time.Now().Add(repeatTimeout); c.Tracker.AwaitsCycle(key) && time.Now().Before(end); {
		c.Host.Apply(gangstate.Effects{Activate: pods})
		time.Sleep(repeatPeriod)
	}
}

// tryAgainAfter is how long a group waits that was refused for a reason that passes with
// time.
const tryAgainAfter = 5 * time.Second

// tryAgain activates a refused group after tryAgainAfter: no event reports that time has
// passed. A group has one timer at most, which activates one of the pods of the last call.
func (c *Cycle) tryAgain(key gangs.Key, pods []*v1.Pod) {
	if _, pending := c.retries.Swap(key, pods); pending {
		return
	}
	time.AfterFunc(tryAgainAfter, func() {
		last, _ := c.retries.LoadAndDelete(key)
		pods, _ := last.([]*v1.Pod)
		c.Host.Apply(gangstate.Effects{Activate: pods[:min(1, len(pods))]})
	})
}

// groupRefused records that a group has no plan. addition is the text to add to the
// message for users. code forbids preemption if the group's running members are evicted
// so that the whole group moves.
func (c *Cycle) groupRefused(ctx context.Context, p *cyclePlan) (code fwk.Code, addition string, err error) {
	if p.refusal == "" {
		return fwk.Unschedulable, "", nil // the gang runs, and more members may join it where there is room
	}
	done, err := c.succeeded(&p.request)
	if err != nil {
		return 0, "", err
	}
	question := c.Tracker.RefusePodGroup(p.request, done, &p.answer, time.Now())
	if err := c.lookElsewhere(ctx, question, p); err != nil {
		return 0, "", err
	}
	addition, evicting, effects := c.Tracker.ResolvePodGroup(question, &p.answer, time.Now())
	c.Host.Apply(effects)
	if evicting != "" {
		p.refusal = evicting
		return fwk.UnschedulableAndUnresolvable, "", nil
	}
	if c.Preempts {
		// The stock plugin, which knows less, must not evict anybody for the gang.
		return fwk.UnschedulableAndUnresolvable, addition, nil
	}
	return fwk.Unschedulable, addition, nil
}

// lookElsewhere answers the questions about a group without room that the tracker of the
// gangs' states asks: whether it fits elsewhere, which pods to evict for it, and which nodes to
// reserve. It leaves them unanswered, without an error, if the filters are too slow.
func (c *Cycle) lookElsewhere(ctx context.Context, question *gangstate.Question, p *cyclePlan) (err error) {
	if question.Lost != nil && question.Lost.Search {
		p.answer.FitsElsewhere, err = c.Placer.FitsWithout(ctx, question.Lost.Request, question.Lost.Left, p.nodes)
	}
	if err == nil && question.Room {
		p.answer.Room, err = c.Host.Search(ctx, question.Request, p.nodes)
	}
	if err == nil && question.Reserve && !p.answer.Room.Found {
		p.answer.Nodes = len(p.nodes)
		p.answer.Reserve, err = c.Placer.Reserve(ctx, question.Request, p.nodes, question.Ends)
	}
	if placement.Slow(err) {
		return nil
	}
	return err
}

// succeeded returns the members that have succeeded. The PodGroup cycle does not count
// them, but a gang whose members end one after the other has not lost any.
func (c *Cycle) succeeded(request *gangs.Request) ([]gangs.Member, error) {
	if len(request.Placed) == 0 {
		return nil, nil
	}
	found, err := c.Ended.GetIndexer().ByIndex(cache.NamespaceIndex, request.Gang.Key.Namespace)
	if err != nil {
		return nil, fmt.Errorf("finding members of %s that have succeeded: %w", request.Gang.Key, err)
	}
	var members []gangs.Member
	for _, obj := range found {
		pod, ok := obj.(*v1.Pod)
		if !ok || pod.Status.Phase != v1.PodSucceeded || !gangs.InPodGroup(pod) {
			continue
		}
		if m, ok := request.Gang.Joined(pod); ok {
			members = append(members, m)
		}
	}
	return members, nil
}

// write puts the message for users into the status of the group and of its pods. If the
// group was refused as a whole, its status (p.status) begins with an error text, which
// the pods have already copied. write replaces that text, so that the group and its pods
// get only the message. In this case write does not return the message as a reason:
// preemption's reason would replace it, and the groups of a hierarchy share one status,
// to which the scheduler would add it once per group.
func (p *cyclePlan) write(code fwk.Code, sentence string) *fwk.Status {
	if p.status == nil {
		return fwk.NewStatus(code, sentence)
	}
	p.fit.Diagnosis.PreFilterMsg = sentence
	p.status.WithError(nil).AppendReason(sentence)
	return fwk.NewStatus(code)
}
