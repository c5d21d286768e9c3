// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// interacts reports whether filters may refuse a member because of other members, although
// resources and devices suffice: it has host ports, volumes, pod affinity, pod anti-affinity
// or topology spread constraints.
func interacts(pod *v1.Pod) bool {
	return hasTerms(pod) || len(hostPortsOf(pod)) > 0 || HasVolumeClaims(pod)
}

// HasVolumeClaims reports whether the pod has volumes with a PersistentVolumeClaim, also one
// made for the pod (ephemeral).
func HasVolumeClaims(pod *v1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v v1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil })
}

// subjectKey identifies what the filters can tell apart among the members of a role.
type subjectKey struct {
	role int
	// pod is the UID of a member with volumes, because each member may have volumes of its
	// own. It is empty for members without volumes or with terms about other pods.
	pod types.UID
	// labels are set only if the profile has filters that the planner does not know.
	labels string
}

// subjects makes the subjects of a gang. A subject is a pod, with its PreFilter state, that
// stands for all members that the filters cannot tell apart. Each subject is made once.
type subjects struct {
	runs  *dryRuns
	roles []roleInput
	// unknown is true if the profile has Filter plugins that the planner does not know.
	unknown bool
	byKey   map[subjectKey]*subject
	// nodes is the number of nodes in the cluster, the cost of a PreFilter run that counts
	// pods on all nodes. spend takes a number of steps from the search budget.
	nodes int
	spend func(steps int)
}

// of returns the subject of a member of the role with this index. It returns nil if the
// filters do not run for the member.
func (s *subjects) of(role int, pod *v1.Pod) (*subject, error) {
	key := subjectKey{role: role}
	if HasVolumeClaims(pod) && !readsOtherNodes(pod) {
		key.pod = pod.UID
	}
	if s.unknown {
		key.labels = labels.Set(pod.Labels).String()
	}
	if made, known := s.byKey[key]; known {
		return made, nil
	}
	made, err := s.newSubject(role, pod)
	if err != nil {
		return nil, err
	}
	if s.byKey == nil {
		s.byKey = map[subjectKey]*subject{}
	}
	s.byKey[key] = made
	return made, nil
}

// newSubject runs the PreFilter plugins for a member. If the dry runs (the filter runs
// during the search) ran for an equal pod, it uses their state instead.
func (s *subjects) newSubject(role int, pod *v1.Pod) (*subject, error) {
	run, input := s.runs.roles[role], &s.roles[role]
	tested := s.testedPod(pod)
	if input.filtered == input.sample && tested == pod && !s.unknown && !HasVolumeClaims(pod) && run.prepared && run.refusal == "" {
		return &subject{pod: run.pod, state: run.state}, nil
	}
	steps := 1
	if s.unknown || readsOtherNodes(tested) {
		steps = s.nodes
	}
	s.spend(steps)
	state := run.newState("")
	_, status, _ := s.runs.handle.(preFilterRunner).RunPreFilterPlugins(s.runs.ctx, state, tested)
	switch {
	case status.IsSuccess():
		if err := s.runs.removeGone(tested, state, ""); err != nil {
			return nil, err
		}
		return &subject{pod: tested, state: state, ownPod: s.unknown && tested == pod}, nil
	case status.IsRejected():
		return nil, nil // the members' own scheduling cycles report the reason
	}
	return nil, fmt.Errorf("preparing the filters for pod %s: %w", klog.KObj(pod), status.AsError())
}

// testedPod returns the pod without resource claims: members get devices only in Reserve, so
// before that the filters cannot check the claims. Filters that the planner does not know
// get the resource claims. If a pod has volumes and also terms about other pods, testedPod
// leaves out the volumes: with them each member would be a subject of its own, and its
// PreFilter run would count the pods on all nodes.
//
// A topology spread constraint with an empty selector is left out: the stock plugin counts no
// pods for it in PreFilter, but counts simulated ones.
func (s *subjects) testedPod(pod *v1.Pod) *v1.Pod {
	tested := *pod
	if !s.unknown {
		tested.Spec.ResourceClaims = nil
	}
	if HasVolumeClaims(pod) && readsOtherNodes(pod) {
		tested.Spec.Volumes = nil
	}
	tested.Spec.TopologySpreadConstraints = slices.DeleteFunc(slices.Clone(pod.Spec.TopologySpreadConstraints),
		func(c v1.TopologySpreadConstraint) bool { return countsNoPods(&c, pod) })
	if len(tested.Spec.ResourceClaims) == len(pod.Spec.ResourceClaims) && len(tested.Spec.Volumes) == len(pod.Spec.Volumes) &&
		len(tested.Spec.TopologySpreadConstraints) == len(pod.Spec.TopologySpreadConstraints) {
		return pod
	}
	return &tested
}

// countsNoPods reports whether a topology spread constraint of the pod has an empty selector,
// to which no matchLabelKeys add a label.
func countsNoPods(c *v1.TopologySpreadConstraint, pod *v1.Pod) bool {
	isLabel := func(key string) bool { _, has := pod.Labels[key]; return has }
	selector := c.LabelSelector
	return selector != nil && len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 && !slices.ContainsFunc(c.MatchLabelKeys, isLabel)
}
