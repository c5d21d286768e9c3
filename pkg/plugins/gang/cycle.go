// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// destination is the gang and the planned node of the cycle's pod; node is "" without a
// plan.
type destination struct {
	key  gangs.Key
	node string
}

const destinationKey fwk.StateKey = Name + "/destination"

// Clone returns d, which is immutable.
func (d *destination) Clone() fwk.StateData { return d }

// destinationOf returns the destination of the cycle's pod, nil for a pod without a gang
// and in a PodGroup cycle.
func destinationOf(state fwk.CycleState) *destination {
	data, err := state.Read(destinationKey)
	if err != nil {
		return nil
	}
	d, _ := data.(*destination)
	return d
}

// PreFilter returns the pod's planned node. It plans the gang first if no plan is in force. It
// plans a pod with ResourceClaims and without a gang as a gang of one pod.
func (g *Gang) PreFilter(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if placement.IsDryRun(state) {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	if state.IsPodGroupSchedulingCycle() {
		return g.podGroups.PreFilter(ctx, state, pod, nodes)
	}
	key, ok := g.sources.Key(pod)
	if !ok {
		return g.preFilterSingle(ctx, state, pod, nodes)
	}
	g.recoverOnce(ctx, nodes)
	// 1. Read the member's next step.
	began := time.Now()
	step := g.tracker.NextStep(key, pod.UID, pod.Name, began)
	if len(step.First) > 0 {
		g.planUnfinished(ctx, step.First, nodes)
		began = time.Now()
		step = g.tracker.NextStep(key, pod.UID, pod.Name, began) // without the room that these gangs got
	}
	// 2. If no plan is in force, plan the whole gang on one snapshot of the cluster.
	if step.Plan != nil {
		answer, err := g.plan(ctx, step.Plan, nodes)
		if err != nil {
			return nil, fwk.AsStatus(err)
		}
		// 3. Record the answer: an attempt to reserve the planned nodes, or a refusal.
		step = g.tracker.Resolve(step.Plan, &answer, pod.UID, time.Now())
	}
	// 4. Apply all side effects.
	g.applyStep(key, &step, began)
	// 5. Restrict the pod to its node.
	state.Write(destinationKey, &destination{key: key, node: step.Node})
	if step.Node == "" {
		cluster.SetPlanned(state, cluster.Planned{Rail: -1, Gang: key.String()})
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, step.Refusal)
	}
	cluster.SetPlanned(state, cluster.Planned{
		Node: step.Node, Rail: step.Rail, Subrequests: step.Subrequests, Gang: key.String(), Alignment: step.Alignment,
	})
	g.dropNominations(key, pod.UID, step.Node)
	return &fwk.PreFilterResult{NodeNames: sets.New(step.Node)}, nil
}

// plan finds nodes for a gang. If there are none, it searches for what else the question
// asks: nodes that would fit the whole gang without its running pods, or nodes to reserve
// for it.
func (g *Gang) plan(ctx context.Context, question *gangstate.Question, nodes []fwk.NodeInfo) (gangstate.Answer, error) {
	key, profile := question.Gang.Key, g.handle.ProfileName()
	outcome, err := g.placer.Place(ctx, question.Request, nodes)
	if err != nil {
		metrics.Planned(profile, metrics.PlanError, time.Since(question.Began))
		return gangstate.Answer{}, fmt.Errorf("planning gang %s: %w", key, err)
	}
	if outcome.Placed {
		metrics.Planned(profile, metrics.PlanPlaced, time.Since(question.Began))
		g.logger.V(2).Info("Gang planned", "gang", key, "members", len(outcome.Assignment.Nodes), "domain", outcome.Assignment.Domain, "lessons", outcome.Lessons)
		return gangstate.Answer{Placed: true, Assignment: outcome.Assignment, Surplus: outcome.Surplus}, nil
	}
	answer := gangstate.Answer{
		Refusal: outcome.Refusal, HeldBack: outcome.HeldBack, Searched: outcome.Searched, Temporary: outcome.Temporary,
	}
	if !outcome.Searched || outcome.HeldBack {
		return answer, nil
	}
	if question.Room {
		if answer.Room, err = g.room.Search(ctx, question.Request, nodes); err != nil && !placement.Slow(err) {
			return gangstate.Answer{}, fmt.Errorf("searching for pods to evict for gang %s: %w", key, err)
		}
		if answer.Room.Found {
			return answer, nil
		}
	}
	switch {
	case question.Lost != nil && question.Lost.Search:
		answer.FitsElsewhere, err = g.placer.FitsWithout(ctx, question.Lost.Request, question.Lost.Left, nodes)
	case question.Reserve:
		answer.Nodes = len(nodes)
		answer.Reserve, err = g.placer.NodesToReserve(ctx, question.Request, nodes)
	}
	if err != nil && !placement.Slow(err) {
		return gangstate.Answer{}, fmt.Errorf("planning gang %s without other pods: %w", key, err)
	}
	return answer, nil
}

// applyStep applies the effects of a step, and counts and logs a refusal.
func (g *Gang) applyStep(key gangs.Key, step *gangstate.Step, began time.Time) {
	if step.Denied {
		metrics.Planned(g.handle.ProfileName(), metrics.PlanRefused, time.Since(began))
		g.logger.V(2).Info("Gang cannot be placed", "gang", key, "reason", step.Refusal)
	}
	g.apply(step.Effects)
}

// preFilterSingle plans a pod with ResourceClaims and without a gang as a gang of one pod. It
// returns the node whose use splits the fewest free topology domains (pieces of the network).
// If the planner does not support the pod or finds no node, the pod takes an ordinary cycle,
// preemption included, on the nodes that are not reserved for gangs.
func (g *Gang) preFilterSingle(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if len(pod.Spec.ResourceClaims) == 0 {
		return placement.ExcludeNodes(placement.Crowded(pod, nodes, g.tracker.RoomHeld(pod), nil), nodes)
	}
	g.recoverOnce(ctx, nodes)
	g.planUnfinished(ctx, g.tracker.Unfinished(gangs.Key{}, time.Now()), nodes)
	reserved := g.tracker.AvoidReserved(pod)
	if placement.Plannable(pod) {
		node, err := g.placer.PlaceSingle(ctx, pod, nodes, reserved, g.tracker.Holds(corev1helpers.PodPriority(pod)))
		if err != nil {
			return nil, fwk.AsStatus(err)
		}
		if node != "" {
			cluster.SetPlanned(state, cluster.Planned{Node: node, Rail: -1})
			return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
		}
	}
	return placement.ExcludeNodes(placement.Crowded(pod, nodes, g.tracker.RoomHeld(pod), reserved), nodes)
}

// PreFilterExtensions returns nil: the plan does not change while preemption simulates the
// removal of pods.
func (g *Gang) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// Filter refuses all nodes except the planned one. The scheduler tries an earlier nominated
// node before the nodes from PreFilter.
func (g *Gang) Filter(_ context.Context, state fwk.CycleState, _ *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	if placement.IsDryRun(state) {
		return nil
	}
	if node := cluster.PlannedOf(state).Node; node == "" || node == info.Node().Name {
		return nil
	}
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "not the planned node")
}

// PostFilter ends the attempt (to reserve the planned nodes) if a filter refused the
// node. It prevents preemption for a single member. Its message is the mistake in the pod's
// labels and annotations, if any, which the scheduler adds to the pod's condition.
func (g *Gang) PostFilter(_ context.Context, state fwk.CycleState, pod *v1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	d := destinationOf(state)
	if d == nil {
		return nil, withMistake(fwk.Unschedulable, pod)
	}
	if d.node != "" {
		g.filterRefused(d, pod, statuses.Get(d.node))
	}
	return nil, withMistake(fwk.UnschedulableAndUnresolvable, pod)
}

// withMistake returns a status whose message is the mistake in the pod's labels and
// annotations, if any.
func withMistake(code fwk.Code, pod *v1.Pod) *fwk.Status {
	if mistake := gangs.MetadataMistake(pod); mistake != "" {
		return fwk.NewStatus(code, mistake)
	}
	return fwk.NewStatus(code)
}

// filterRefused plans a gang again without the node that a filter refused.
func (g *Gang) filterRefused(d *destination, pod *v1.Pod, status *fwk.Status) {
	reason := fmt.Sprintf("node %s refused member %s: %s", d.node, pod.Name, status.Message())
	effects := g.tracker.FilterRefused(d.key, pod, d.node, reason, time.Now())
	if effects.Key.IsZero() {
		return // the attempt has already ended
	}
	g.logger.V(2).Info("Planned node refused", "gang", d.key, "pod", klog.KObj(pod), "node", d.node, "reason", status.Message())
	metrics.Refused(g.handle.ProfileName())
	g.apply(effects)
}

// Reserve records that the member holds its node. If the plan places its members in an order,
// the next member may then have its cycle.
func (g *Gang) Reserve(_ context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	if d := destinationOf(state); d != nil {
		g.apply(g.tracker.Reserve(d.key, pod.UID, node))
	}
	if g.podGroups != nil {
		g.podGroups.Reserve(state, pod)
	}
	return nil
}

// Unreserve releases the nodes of the whole gang if a member releases its node before the
// quorum has reserved. Once the quorum has, it keeps the place of a member whose binding
// failed, as long as its gang is below its minimum.
func (g *Gang) Unreserve(_ context.Context, state fwk.CycleState, pod *v1.Pod, node string) {
	if d := destinationOf(state); d != nil {
		g.apply(g.tracker.Unreserve(d.key, pod, node, time.Now()))
	} else if g.podGroups != nil {
		g.podGroups.Unreserve(state, pod, node)
	}
}

// Permit makes a member wait for the quorum, the members that must start together. The member
// that completes the quorum lets all members bind. It is refused if a planned node is gone or
// the plan was dropped.
func (g *Gang) Permit(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) (*fwk.Status, time.Duration) {
	skipNomination(state, pod, node)
	if g.podGroups != nil && gangs.InPodGroup(pod) {
		return g.podGroups.Permit(ctx, state, pod, node)
	}
	d := destinationOf(state)
	if d == nil {
		return nil, 0
	}
	permit, attempt := g.tracker.Permit(d.key, pod.UID)
	switch permit {
	case gangstate.PermitAllow:
		return nil, 0
	case gangstate.PermitWait:
		return fwk.NewStatus(fwk.Wait), g.args.PermitTimeout
	case gangstate.PermitComplete:
		if gone := g.missingNode(attempt); gone != "" {
			return fwk.NewStatus(fwk.Unschedulable, d.key.Messagef("planned node %s is gone", gone)), 0 // Unreserve ends the attempt
		}
		if g.open(attempt) {
			return nil, 0
		}
	}
	return fwk.NewStatus(fwk.Unschedulable, d.key.Messagef("the plan was dropped while this member was placed")), 0
}

// missingNode returns the name of a planned node that was deleted after planning, "" if all
// nodes exist.
func (g *Gang) missingNode(attempt *gangstate.Attempt) string {
	for _, node := range g.tracker.ReservedNodes(attempt) {
		if !g.nodeExists(node) {
			return node
		}
	}
	return ""
}

// open lets the whole gang through Permit. It returns false if the attempt failed after its
// last member arrived.
func (g *Gang) open(attempt *gangstate.Attempt) bool {
	effects, ok := g.tracker.Open(attempt)
	if !ok {
		return false
	}
	g.apply(effects)
	metrics.Gathered(g.handle.ProfileName(), time.Since(attempt.Began))
	g.logger.V(2).Info("Gang placed", "gang", attempt.Key, "members", len(effects.Allow), "domain", attempt.Domain)
	g.report.Placed(attempt, len(effects.Allow))
	return true
}

// dropNominations makes the scheduler forget nominations (nominatedNodeName) of other
// members of the gang to this node. A scheduler killed between Permit and binding leaves
// them behind, and the filters would count them as pods on the node.
func (g *Gang) dropNominations(key gangs.Key, uid types.UID, node string) {
	for _, info := range g.handle.NominatedPodsForNode(node) {
		other := info.GetPod()
		if other.UID == uid {
			continue
		}
		if k, ok := g.sources.Key(other); ok && k == key || gangs.InPodGroup(other) && gangs.PodGroupKeyOf(other) == key {
			g.handle.DeleteNominatedPodIfExists(other)
		}
	}
}
