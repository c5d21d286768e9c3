// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// plannedMember is a member of the gang with the node that a plan has for it.
type plannedMember struct {
	// role is the index of the member's role among the planner's roles (planInput.roles).
	role int
	pod  *v1.Pod
	node string
	// pinned is true if claims of the member have devices already, so that no plan has
	// another node for it.
	pinned bool
	// like is the subject with which the filters run in place of the member. It is nil if the
	// filters do not run for the member.
	like *subject
}

// subject is a pod that stands for all members of a role that the filters cannot tell apart.
// state is its PreFilter state in the cluster without the gang's planned members.
type subject struct {
	pod   *v1.Pod
	state fwk.CycleState
	// ownPod is true if the Filter plugins get each member's own pod instead of pod.
	ownPod bool
}

// simulated is the cluster with some of the gang's members placed, as the filters see it.
type simulated struct {
	runs *dryRuns
	// states are the PreFilter states that are kept up to date, one for each subject.
	states map[*subject]fwk.CycleState
	// nodes are copies of the nodes that hold planned members.
	nodes map[string]fwk.NodeInfo
}

// newSimulated returns a simulated without members. Filters can run in it for the given subjects.
func newSimulated(runs *dryRuns, subjects ...*subject) *simulated {
	t := &simulated{runs: runs, states: make(map[*subject]fwk.CycleState, len(subjects)), nodes: map[string]fwk.NodeInfo{}}
	for _, s := range subjects {
		t.states[s] = s.state.Clone()
	}
	return t
}

// add places a member: it adds the pod to the copy of its planned node and to all PreFilter
// states.
func (t *simulated) add(m *plannedMember) error {
	info, err := t.node(m.node)
	if err != nil {
		return err
	}
	added, err := t.runs.roles[m.role].memberInfo.place(m.pod, m.pod.UID, m.node)
	if err != nil {
		return fmt.Errorf("simulating pod %s on its planned node: %w", klog.KObj(m.pod), err)
	}
	info.AddPodInfo(added)
	for s, state := range t.states {
		if status := t.runs.handle.RunPreFilterExtensionAddPod(t.runs.ctx, state, s.pod, added, info); !status.IsSuccess() {
			return fmt.Errorf("simulating pod %s on its planned node: %w", klog.KObj(m.pod), status.AsError())
		}
	}
	return nil
}

// node returns the copy of a node that holds planned members.
func (t *simulated) node(name string) (fwk.NodeInfo, error) {
	if info := t.nodes[name]; info != nil {
		return info, nil
	}
	info := t.runs.nodeInfo(name)
	if info == nil {
		return nil, fmt.Errorf("planned node %s does not exist", name)
	}
	t.nodes[name] = info.Snapshot()
	return t.nodes[name], nil
}

// filter returns why the member cannot join the placed members on its node, nil if it can.
func (t *simulated) filter(m *plannedMember) (*fwk.Status, error) {
	info := t.nodes[m.node]
	if info == nil {
		if info = t.runs.nodeInfo(m.node); info == nil {
			return nil, fmt.Errorf("planned node %s does not exist", m.node)
		}
	}
	pod := m.like.pod
	if m.like.ownPod {
		pod = m.pod
	}
	status := t.runs.filter(t.states[m.like], pod, info)
	switch {
	case status.IsSuccess():
		return nil, nil
	case status.Code() == fwk.Error:
		return nil, fmt.Errorf("running the filters for pod %s on node %s: %w", klog.KObj(m.pod), m.node, status.AsError())
	}
	return status, nil
}
