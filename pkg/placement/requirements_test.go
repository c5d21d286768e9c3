// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
)

// matching sets the terms of a pod's required node affinity.
func matching(terms ...v1.NodeSelectorTerm) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{NodeSelectorTerms: terms},
		}}
	}
}

func expression(key string, operator v1.NodeSelectorOperator, values ...string) v1.NodeSelectorTerm {
	return v1.NodeSelectorTerm{MatchExpressions: []v1.NodeSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
}

// The nodes are l1-a, l1-b, l2-a and l2-b, with label leaf.
func TestUnmatched(t *testing.T) {
	f := newFixture(t)
	for name, tc := range map[string]struct {
		pod  func(*v1.Pod)
		want string
	}{
		"a label that nodes have": {onNodesWith("leaf", "l2"), ""},
		"a label that no node has": {onNodesWith("pool", "train"),
			"no node has label pool=train, which the node selector of pod train-0 requires"},
		"another value of a label": {onNodesWith("leaf", "l9"),
			"no node has label leaf=l9, which the node selector of pod train-0 requires"},
		"an expression that nodes match": {matching(expression("leaf", v1.NodeSelectorOpNotIn, "l1")), ""},
		"one value of an expression": {matching(expression("leaf", v1.NodeSelectorOpIn, "l9")),
			"no node has label leaf=l9, which the node affinity of pod train-0 requires"},
		"several values": {matching(expression("leaf", v1.NodeSelectorOpIn, "l8", "l9")),
			"no node has label leaf in (l8, l9), which the node affinity of pod train-0 requires"},
		"a label that must not exist": {matching(expression("leaf", v1.NodeSelectorOpDoesNotExist)),
			"no node is without label leaf, which the node affinity of pod train-0 requires"},
		"several terms": {matching(expression("leaf", v1.NodeSelectorOpIn, "l8"), expression("pool", v1.NodeSelectorOpExists)),
			"no node matches any of 2 terms, which the node affinity of pod train-0 requires"},
		"a node name": {matching(v1.NodeSelectorTerm{MatchFields: []v1.NodeSelectorRequirement{
			{Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{"gone"}}}}),
			"no node has name=gone, which the node affinity of pod train-0 requires"},
		"labels that different nodes have": {all(onNodesWith("leaf", "l1"), matching(expression("leaf", v1.NodeSelectorOpIn, "l2"))),
			"no node has all that pod train-0 requires of its node: label leaf=l1, label leaf=l2"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := cpuPod("train-0", "1", "")
			tc.pod(pod)
			if diff := cmp.Diff(tc.want, unmatched(pod, f.nodes)); diff != "" {
				t.Errorf("(-want,+got)\n%s", diff)
			}
		})
	}
}

// A node that a node selector or a taint excludes is named with the label or the taint.
func TestRefusalNamesItsCause(t *testing.T) {
	pod := cpuPod("train-0", "1", "")
	all(onNodesWith("leaf", "l1"), matching(expression("pool", v1.NodeSelectorOpNotIn, "serve")))(pod)
	node := &v1.Node{}
	node.Labels = map[string]string{"leaf": "l2", "pool": "serve"}
	node.Spec.Taints = []v1.Taint{
		{Key: "soft", Effect: v1.TaintEffectPreferNoSchedule},
		{Key: "nvidia.com/gpu", Value: "present", Effect: v1.TaintEffectNoSchedule},
	}
	got := []string{affinityRefusal(pod, node).message, untolerated(pod, node)}
	node.Labels["leaf"] = "l1"
	pod.Spec.Tolerations = []v1.Toleration{{Key: "nvidia.com/gpu", Operator: v1.TolerationOpExists}}
	got = append(got, affinityRefusal(pod, node).message, untolerated(pod, node))
	want := []string{
		"node selector requires label leaf=l1", "nvidia.com/gpu=present:NoSchedule",
		"node affinity requires label pool not in (serve)", "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want,+got)\n%s", diff)
	}
}
