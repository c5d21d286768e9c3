// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// Host has the functions of the Gang plugin (which places gangs) that a Cycle calls.
type Host struct {
	// Recover plans the gangs that are bound in part before the cycle that calls it: those
	// that failed bindings left and, in its first call, those that a crash left. The first
	// call waits until all existing pods and objects that declare gangs are known.
	Recover func(ctx context.Context, nodes []fwk.NodeInfo)
	// Apply carries out the Effects that a call of the tracker of the gangs' states
	// returned.
	Apply func(gangstate.Effects)
	// Search searches for the pods to evict for a gang that has no room.
	Search func(context.Context, gangs.Request, []fwk.NodeInfo) (gangstate.Room, error)
	// Report schedules a report on the reason why a gang waits.
	Report func(gangs.Key)
	// DropNominations makes the scheduler forget nominations (nominatedNodeName) of other
	// members of the gang to this node.
	DropNominations func(key gangs.Key, uid types.UID, node string)
}

// Options are the parameters of a Cycle.
type Options struct {
	Handle  fwk.Handle
	Tracker *gangstate.Tracker
	Placer  *placement.Placer
	// Ended is the informer of pods that succeeded or failed.
	Ended  cache.SharedIndexInformer
	Logger klog.Logger
	Host   Host
	// Hierarchies is set if the scheduler has cycles for CompositePodGroups too.
	Hierarchies bool
	// Preempts is set if pods of lower priority may be evicted for gangs without room.
	Preempts bool
	// ReportDelay is how long a gang must wait before a report is written.
	ReportDelay time.Duration
}

// Cycle has the plugin Gang's extension points for the PodGroup cycles of one profile.
type Cycle struct {
	Options
	quorum quorum
	groups groupReader
	gate   *Gate
	// retries has the pods of the groups with a timer of tryAgain, by gang.
	retries sync.Map
}

// New returns the Cycle of a profile's Gang plugin.
func New(ctx context.Context, options Options) (*Cycle, error) {
	quorum, err := newQuorum(ctx, options.Handle)
	if err != nil {
		return nil, err
	}
	c := &Cycle{Options: options, quorum: quorum, groups: groupReader{handle: options.Handle, hierarchies: options.Hierarchies}}
	c.gate = newGate(quorum, c.groups,
		func(pod *v1.Pod) bool { return options.Tracker.AdmitPodGroup(pod, time.Now()) },
		func(pods []*v1.Pod) { options.Host.Apply(gangstate.Effects{Activate: pods}) })
	if err := c.follow(); err != nil {
		return nil, err
	}
	return c, nil
}

// Gate returns the gate that keeps incomplete groups out of the queue.
func (c *Cycle) Gate() *Gate { return c.gate }

// follow watches pods that are added to or removed from PodGroups.
func (c *Cycle) follow() error {
	_, err := c.Handle.SharedInformerFactory().Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if pod, ok := obj.(*v1.Pod); ok && gangs.InPodGroup(pod) {
				c.gate.podAdded(pod)
				if pod.Spec.NodeName == "" {
					c.reportOn(pod)
				}
			}
		},
		UpdateFunc: func(oldObj, obj any) {
			before, ok := oldObj.(*v1.Pod)
			if after, isPod := obj.(*v1.Pod); ok && isPod && before.UID != after.UID {
				c.reportOn(before)
			}
		},
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if pod, ok := obj.(*v1.Pod); ok {
				c.reportOn(pod)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watching the pods of PodGroups: %w", err)
	}
	return nil
}

// reportOn schedules a report on the pod's PodGroup, which may lack members.
func (c *Cycle) reportOn(pod *v1.Pod) {
	if gangs.InPodGroup(pod) && pod.Spec.SchedulerName == c.Handle.ProfileName() {
		c.Host.Report(gangs.PodGroupKeyOf(pod))
	}
}

// PreFilter returns the planned node of a pod in the PodGroup cycle.
func (c *Cycle) PreFilter(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	cycle := state.GetPodGroupSchedulingCycle()
	p := planOf(cycle)
	if p == nil {
		var err error
		if p, err = c.planGroupOf(ctx, pod, nodes); err != nil {
			return nil, fwk.AsStatus(err)
		}
		cycle.Write(planKey, p)
	}
	if p.stock {
		return placement.ExcludeNodes(placement.Crowded(pod, nodes, c.Tracker.RoomHeld(pod), c.Tracker.AvoidReserved(pod, time.Now())), nodes)
	}
	node := p.assignment.Nodes[pod.UID]
	if node == "" {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, p.why())
	}
	p.tried = append(p.tried, pod.UID)
	state.Write(memberPlanKey, p)
	cluster.SetPlanned(state, p.instructions(pod.UID))
	c.Host.DropNominations(gangs.PodGroupKeyOf(pod), pod.UID, node)
	return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
}

// Reserve records in the cycle's plan that the pod has reserved a node.
func (c *Cycle) Reserve(state fwk.CycleState, pod *v1.Pod) {
	if !state.IsPodGroupSchedulingCycle() {
		return
	}
	if p := planOf(state.GetPodGroupSchedulingCycle()); p != nil && !p.stock {
		p.reserved[pod.UID] = true
	}
}

// Permit makes the pod wait for the quorum of its PodGroup (the members that must start
// together), like the in-tree plugin GangScheduling. The first member that leaves the
// PodGroup cycle for binding marks the gang as placed.
func (c *Cycle) Permit(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) (*fwk.Status, time.Duration) {
	if p := memberPlan(state); p != nil && !p.placed {
		p.placed = true
		c.Tracker.NotePodGroupBackfill(&p.request, &p.assignment)
		c.Tracker.PodGroupPlaced(&p.request, time.Now())
	}
	return c.quorum.Permit(ctx, state, pod, node)
}

// planGroupOf plans the PodGroup of a pod, in a PodGroup cycle in which the scheduler
// does not call GeneratePlacements. The plan covers all members of the PodGroup that wait
// only for a cycle.
func (c *Cycle) planGroupOf(ctx context.Context, pod *v1.Pod, nodes []fwk.NodeInfo) (*cyclePlan, error) {
	group, err := c.groups.groupAt(fwk.PodGroupKey(pod.Namespace, *pod.Spec.SchedulingGroup.PodGroupName))
	if err != nil {
		return nil, err
	}
	return c.planGroup(ctx, group, nodes)
}

// planGroup plans the group of a cycle and all groups below it.
func (c *Cycle) planGroup(ctx context.Context, group fwk.PodGroupInfo, nodes []fwk.NodeInfo) (*cyclePlan, error) {
	c.Host.Recover(ctx, nodes)
	request, err := c.groupRequest(group)
	if err != nil {
		return nil, fmt.Errorf("reading what a PodGroup cycle is to place: %w", err)
	}
	return c.plan(ctx, request, nodes)
}
