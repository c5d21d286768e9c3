// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// preFilters is what the handle can do beyond its interface: run the profile's
// PreFilter plugins for a pod that has no cycle of its own yet.
type preFilters interface {
	RunPreFilterPlugins(context.Context, fwk.CycleState, *v1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string])
}

// trialKey marks a CycleState that was made to ask the stock filters while
// planning. Our own PreFilter leaves such a pod alone.
const trialKey fwk.StateKey = Name + "/trial"

type trialMark struct{}

func (m trialMark) Clone() fwk.StateData { return m }

func isTrial(state fwk.CycleState) bool {
	_, err := state.Read(trialKey)
	return err == nil
}

// trials asks the stock filters about roles on behalf of the planner. It keeps
// the PreFilter state of one pod of each role, made when first needed.
type trials struct {
	ctx    context.Context
	handle fwk.Handle
	roles  []*trial
	err    error
}

// trial is one role's standing with the stock plugins.
type trial struct {
	pod   *v1.Pod
	state fwk.CycleState
	// gang tells the role's gang from all others; alignment is what it says of devices.
	gang      string
	alignment gangs.Alignment
	// beside is how many of its kind stand with it on any node, of another role.
	beside int
	// nodes are the only ones that the role may use, by the word of others; nil means
	// any.
	nodes  sets.Set[string]
	others *fwk.Status
	// refused is what was said of nodes that were refused.
	refused map[string]refusal
	// refusal is why no node can be used at all.
	refusal string
	// ready says that the state is there, for all nodes.
	ready bool
	// near is the state for one node alone, and nearby how many there were of those.
	near   *nearTrial
	nearby int
}

// nearTrial is a role's standing on one node.
type nearTrial struct {
	node  string
	state fwk.CycleState
}

// maxNearby is how many nodes a role with claims is prepared for one by one. To
// prepare it for all of 5,000 nodes with devices took 17 ms (3.4 s of CPU for the 200
// gangs of the workload pairs-5000, by its CPU profile), and a whole cycle that is
// prepared for one node takes 0.4 ms (go test ./pkg/plugins/draaware -run '^$' -bench
// PlannedCycle).
const maxNearby = 32

// fits says whether the node takes one more member of the role when the plan
// has put that many there already.
func (t *trials) fits(role int, node string, already int) bool {
	one := t.roles[role]
	state := t.nearState(one, node)
	if state == nil {
		if state = t.wholeState(one, node); state == nil {
			return false
		}
	}
	info, err := t.handle.SnapshotSharedLister().NodeInfos().Get(node)
	if err != nil {
		return false
	}
	if already += one.beside; already > 0 {
		state, info, err = t.crowd(one, state.Clone(), info.Snapshot(), already)
		if err != nil {
			t.err = err
			return false
		}
	}
	status := t.handle.RunFilterPlugins(t.ctx, state, one.pod, info)
	if status.Code() == fwk.Error {
		t.err = fmt.Errorf("asking the filters about pod %s on node %s: %w", klog.KObj(one.pod), node, status.AsError())
	}
	if !status.IsSuccess() {
		one.refuse(node, status)
	}
	return status.IsSuccess()
}

// prepare runs the PreFilter plugins for the role's pod.
func (t *trials) prepare(one *trial) error {
	if one.ready {
		return nil
	}
	one.ready = true
	one.state = one.newState("")
	result, status, by := t.handle.(preFilters).RunPreFilterPlugins(t.ctx, one.state, one.pod)
	switch {
	case status.IsRejected():
		one.refusal = status.Message()
	case !status.IsSuccess():
		return fmt.Errorf("preparing the filters for pod %s: %w", klog.KObj(one.pod), status.AsError())
	case !result.AllNodes():
		plugins := strings.Join(sets.List(by), ", ")
		one.nodes, one.others = result.NodeNames, fwk.NewStatus(fwk.Unschedulable, "node(s) didn't satisfy plugin(s) "+plugins).WithPlugin(plugins)
	}
	return nil
}

// newState is the state of a trial on one node, or on any.
func (o *trial) newState(node string) fwk.CycleState {
	return trialState(cluster.Planned{Node: node, Rail: -1, Gang: o.gang, Alignment: o.alignment})
}

// trialState is the state of a pod that is tried with a plan that is not made yet.
func trialState(planned cluster.Planned) fwk.CycleState {
	state := framework.NewCycleState()
	state.Write(trialKey, trialMark{})
	cluster.SetPlanned(state, planned)
	return state
}

// wholeState returns the filters' state for a role, prepared for all nodes; nil if the
// PreFilter plugins say that it cannot stand on this one.
func (t *trials) wholeState(one *trial, node string) fwk.CycleState {
	if err := t.prepare(one); err != nil {
		t.err = err
		return nil
	}
	if one.refusal != "" {
		return nil
	}
	if one.nodes != nil && !one.nodes.Has(node) {
		one.refuse(node, one.others)
		return nil
	}
	return one.state
}

// nearState returns the filters' state for a role with claims on one node, prepared
// for that alone: most plans ask about a few nodes. It is nil if the role is to be
// prepared for all nodes: because that was done already, because there are many, or
// because what the PreFilter plugins say is not just about this one.
func (t *trials) nearState(one *trial, node string) fwk.CycleState {
	if one.ready || len(one.pod.Spec.ResourceClaims) == 0 || readsOtherNodes(one.pod) {
		return nil
	}
	if one.near != nil && one.near.node == node {
		return one.near.state
	}
	if one.nearby++; one.nearby > maxNearby {
		return nil
	}
	state := one.newState(node)
	result, status, _ := t.handle.(preFilters).RunPreFilterPlugins(t.ctx, state, one.pod)
	if !status.IsSuccess() || !result.AllNodes() {
		one.nearby = maxNearby
		return nil
	}
	one.near = &nearTrial{node: node, state: state}
	return state
}

// readsOtherNodes says that the pod's PreFilter plugins count what runs on all nodes.
func readsOtherNodes(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	return len(pod.Spec.TopologySpreadConstraints) > 0 || affinity != nil && (affinity.PodAffinity != nil || affinity.PodAntiAffinity != nil)
}

// crowd makes the filters' state and the node what they would be with copies of the
// role's pod on the node.
func (t *trials) crowd(one *trial, state fwk.CycleState, info fwk.NodeInfo, copies int) (fwk.CycleState, fwk.NodeInfo, error) {
	for i := range copies {
		pod := one.pod.DeepCopy()
		pod.UID = types.UID(fmt.Sprintf("%s/%d", one.pod.UID, i))
		pod.Spec.NodeName = info.Node().Name
		added, err := framework.NewPodInfo(pod)
		if err != nil {
			return nil, nil, fmt.Errorf("imagining pod %s twice on a node: %w", klog.KObj(pod), err)
		}
		info.AddPodInfo(added)
		if status := t.handle.RunPreFilterExtensionAddPod(t.ctx, state, one.pod, added, info); !status.IsSuccess() {
			return nil, nil, fmt.Errorf("imagining pod %s twice on a node: %w", klog.KObj(pod), status.AsError())
		}
	}
	return state, info, nil
}

// refusal returns why a role that was asked about can go nowhere, by the word
// of a PreFilter plugin.
func (t *trials) refusal(gang gangs.Key) string {
	for _, one := range t.roles {
		if one.refusal != "" {
			return gang.Messagef("pod %s: %s", one.pod.Name, one.refusal)
		}
	}
	return ""
}
