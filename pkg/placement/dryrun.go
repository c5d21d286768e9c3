// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// dryRuns runs the stock filters for the roles of one gang during planning. For each role
// it keeps the PreFilter state of one pod, created when the planner first needs it.
type dryRuns struct {
	ctx    context.Context
	handle fwk.Handle
	// roles has an entry for each of the planner's roles, with the same index.
	roles []*dryRun
	// emptied is the cluster without some pods, for a what-if plan. It is nil for the
	// cluster as it is.
	emptied *emptied
	// err is the first error of a plugin that is not a refusal. It ends the plan.
	err error
	// time limits slow filters.
	time filterTime
}

// dryRun has the PreFilter state and the refusals of the stock plugins for one role of
// the planner.
type dryRun struct {
	pod *v1.Pod
	// gang (its key), alignment (how close GPUs and NICs must be) and subrequests (the
	// alternatives, firstAvailable, chosen for the requests) are values that this project's
	// plugins read in the cycle state.
	gang        string
	alignment   gangs.Alignment
	subrequests gangs.Subrequests
	// companions is the number of similar pods, members of another role, that each node
	// used by this role will also hold.
	companions int
	// prepared is true once the PreFilter plugins ran for all nodes.
	prepared bool
	state    fwk.CycleState
	// nodes are the nodes that the PreFilter plugins allow for the role, nil for all nodes.
	// excluded is the status of every other node.
	nodes    sets.Set[string]
	excluded *fwk.Status
	// refusal is the message of a PreFilter plugin that refused every node.
	refusal string
	// refused has the refusals of the Filter plugins, by node.
	refused filterRefusals
	// single is the PreFilter state for one node alone. singles counts how often such a
	// state was created.
	single  *nodeState
	singles int
	// ownInfo makes copies of pod on nodes, memberInfo members of the role on nodes.
	ownInfo, memberInfo podInfoMaker
}

// nodeState is the PreFilter state of a role, prepared for one node alone.
type nodeState struct {
	node  string
	state fwk.CycleState
}

// maxSingles is the maximum number of nodes for which a role with claims is prepared node
// by node. Preparing it for all of 5,000 nodes with devices took 17 ms in a benchmark of
// 200 gangs (3.4 s of CPU). A whole cycle prepared for one node takes 0.4 ms (go test
// ./pkg/plugins/draaware -run '^$' -bench PlannedCycle).
const maxSingles = 32

// fits reports whether the filters accept one more member of the role on the node.
// already is how many members of the role the plan has put there before.
func (d *dryRuns) fits(role int, node string, already int) bool {
	return d.fitsAfter(d.roles[role], node, already, func(state fwk.CycleState, info fwk.NodeInfo) (fwk.CycleState, fwk.NodeInfo, error) {
		return state, info, nil
	})
}

// stateChange returns the filters' state and a node after a change of the cluster. It does not
// change its arguments.
type stateChange func(fwk.CycleState, fwk.NodeInfo) (fwk.CycleState, fwk.NodeInfo, error)

// fitsAfter is fits after a change of the cluster.
func (d *dryRuns) fitsAfter(run *dryRun, node string, already int, change stateChange) bool {
	if d.err != nil {
		return false // the plan has failed
	}
	state := d.singleState(run, node)
	if state == nil {
		if state = d.clusterState(run, node); state == nil {
			return false
		}
	}
	info := d.nodeInfo(node)
	if info == nil {
		return false
	}
	state, info, err := change(state, info)
	if already += run.companions; err == nil && already > 0 {
		state, info, err = d.simulatePods(run, state.Clone(), info.Snapshot(), already)
	}
	if err != nil {
		d.err = err
		return false
	}
	status := d.filter(state, run.pod, info)
	if status.Code() == fwk.Error {
		d.err = fmt.Errorf("running the filters for pod %s on node %s: %w", klog.KObj(run.pod), node, status.AsError())
	}
	if !status.IsSuccess() {
		run.refuse(node, status)
	}
	return status.IsSuccess()
}

// filter runs the filters for a pod on a node.
func (d *dryRuns) filter(state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	return d.time.run(d.ctx, d.handle, state, pod, info)
}

// prepare runs the PreFilter plugins for the role's pod on all nodes, once.
func (d *dryRuns) prepare(run *dryRun) error {
	if run.prepared {
		return nil
	}
	run.prepared = true
	run.state = run.newState("")
	result, status, by := d.handle.(preFilterRunner).RunPreFilterPlugins(d.ctx, run.state, run.pod)
	switch {
	case status.IsRejected():
		run.refusal = status.Message()
	case !status.IsSuccess():
		return fmt.Errorf("preparing the filters for pod %s: %w", klog.KObj(run.pod), status.AsError())
	}
	if run.refusal != "" {
		return nil
	}
	if err := d.removeGone(run.pod, run.state, ""); err != nil {
		return err
	}
	switch {
	case !result.AllNodes():
		plugins := strings.Join(sets.List(by), ", ")
		run.nodes = result.NodeNames
		run.excluded = fwk.NewStatus(fwk.Unschedulable, "node(s) didn't satisfy plugin(s) "+plugins).WithPlugin(plugins)
	}
	return nil
}

func (r *dryRun) newState(node string) fwk.CycleState {
	return newDryRunState(cluster.Planned{Node: node, Rail: -1, Subrequests: r.subrequests, Gang: r.gang, Alignment: r.alignment})
}

func (r *dryRun) refuse(node string, status *fwk.Status) {
	if r.refused == nil {
		r.refused = filterRefusals{}
	}
	r.refused.add(node, status)
}

// clusterState returns the filters' state of a role, prepared for all nodes. It returns
// nil if the PreFilter plugins refuse this node for the role, or fail.
func (d *dryRuns) clusterState(run *dryRun, node string) fwk.CycleState {
	if err := d.prepare(run); err != nil {
		d.err = err
		return nil
	}
	if run.refusal != "" {
		return nil
	}
	if run.nodes != nil && !run.nodes.Has(node) {
		run.refuse(node, run.excluded)
		return nil
	}
	return run.state
}

// singleState returns the filters' state of a role with resource claims, prepared for one
// node alone. This is cheaper because most plans try few nodes. It returns nil if the
// state for all nodes must be used: it exists, the pod has no claims, the plan tries many
// nodes, or what the PreFilter plugins do depends on other nodes as well.
func (d *dryRuns) singleState(run *dryRun, node string) fwk.CycleState {
	if run.prepared || len(run.pod.Spec.ResourceClaims) == 0 || readsOtherNodes(run.pod) {
		return nil
	}
	if run.single != nil && run.single.node == node {
		return run.single.state
	}
	if run.singles++; run.singles > maxSingles {
		return nil
	}
	state := run.newState(node)
	result, status, _ := d.handle.(preFilterRunner).RunPreFilterPlugins(d.ctx, state, run.pod)
	if !status.IsSuccess() || !result.AllNodes() {
		run.singles = maxSingles
		return nil
	}
	if d.err = d.removeGone(run.pod, state, node); d.err != nil {
		return nil
	}
	run.single = &nodeState{node: node, state: state}
	return state
}

// readsOtherNodes reports whether the stock PreFilter plugins must count pods on all
// nodes for this pod: it has topology spread constraints or pod affinity.
func readsOtherNodes(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	return len(pod.Spec.TopologySpreadConstraints) > 0 || affinity != nil && (affinity.PodAffinity != nil || affinity.PodAntiAffinity != nil)
}

// simulatePods returns the filters' state and the node after adding copies of the role's
// pod to the node. It changes its arguments state and info.
func (d *dryRuns) simulatePods(run *dryRun, state fwk.CycleState, info fwk.NodeInfo, copies int) (fwk.CycleState, fwk.NodeInfo, error) {
	for i := range copies {
		added, err := run.ownInfo.place(run.pod, types.UID(fmt.Sprintf("%s/%d", run.pod.UID, i)), info.Node().Name)
		if err != nil {
			return nil, nil, fmt.Errorf("simulating more copies of pod %s on a node: %w", klog.KObj(run.pod), err)
		}
		info.AddPodInfo(added)
		if status := d.handle.RunPreFilterExtensionAddPod(d.ctx, state, run.pod, added, info); !status.IsSuccess() {
			return nil, nil, fmt.Errorf("simulating more copies of pod %s on a node: %w", klog.KObj(run.pod), status.AsError())
		}
	}
	return state, info, nil
}

// preFilterRefusal returns the sentence about a role whose pod PreFilter plugins refuse
// on every node, or "".
func (d *dryRuns) preFilterRefusal(gang gangs.Key) string {
	for _, run := range d.roles {
		if run.refusal != "" {
			return gang.Messagef("pod %s: %s", run.pod.Name, run.refusal)
		}
	}
	return ""
}
