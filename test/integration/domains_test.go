// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// labelNodes gives every second node a label, with as many values as given. The other nodes
// do not have the label. It returns the label's key.
func (e *env) labelNodes(values int) string {
	e.Helper()
	key := "example.com/" + e.Namespace
	list, err := e.Client.CoreV1().Nodes().List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatalf("listing nodes: %v", err)
	}
	for i := 0; i < len(list.Items); i += 2 {
		name := list.Items[i].Name
		e.patchLabel(name, key, fmt.Sprintf("%q", fmt.Sprint("value-", i/2%values)))
		e.Cleanup(func() { e.patchLabel(name, key, "null") })
	}
	return key
}

func (e *env) patchLabel(node, key, value string) {
	e.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, key, value)
	if _, err := e.Client.CoreV1().Nodes().Patch(context.Background(), node, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		e.Errorf("labelling node %s: %v", node, err)
	}
}

// evenlyOver adds a topology spread constraint about the pods of a group.
func evenlyOver(key, group string, skew int32) podOption {
	return func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{
			MaxSkew: skew, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{groupLabel: group}},
		})
	}
}

// near requires a pod with a label in the same domain of a key.
func near(key, label, value string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{label: value}},
			}},
		}}
	}
}

// One node would hold all members, and no level of the fabric has these domains.
func TestMembersSpreadOverTheDomainsOfALabel(t *testing.T) {
	e := onGPUs(t)
	key := e.labelNodes(3)
	e.podGroup("even", 7, nil)
	e.createPods(members("even", 7, evenlyOver(key, "even", 1))...)
	e.onNodes("even", 7, key, 3)
	counts := slices.Sorted(maps.Values(e.Domains(groupLabel+"=even", key)))
	if !slices.Equal(counts, []int{2, 2, 3}) {
		t.Errorf("the domains have %v members, want 2, 2 and 3", counts)
	}

	// Those that run count for members that join.
	e.createPods(newPod("even-late-a", inGroup("even"), evenlyOver(key, "even", 1)), newPod("even-late-b", inGroup("even"), evenlyOver(key, "even", 1)))
	e.onNodes("even", 9, key, 3)

	// A fourth domain is required, so each of the three takes one member.
	least := int32(4)
	e.podGroup("many", 4, nil)
	pods := members("many", 4, evenlyOver(key, "many", 1))
	for _, pod := range pods {
		pod.Spec.TopologySpreadConstraints[0].MinDomains = &least
	}
	e.createPods(pods...)
	e.Refused(groupLabel+"=many", 4, "3 of 4 members fit the fabric")
}

func TestMembersSpreadOverNodes(t *testing.T) {
	e := onGPUs(t)
	e.podGroup("nodes", 6, nil)
	e.createPods(members("nodes", 6, evenlyOver(corev1.LabelHostname, "nodes", 1))...)
	e.onNodes("nodes", 6, corev1.LabelHostname, 6)
}

func TestAntiAffinityByALabelThatIsNoLevel(t *testing.T) {
	e := onGPUs(t)
	key := e.labelNodes(3)
	options := []podOption{apartBy(key, "apart"), func(p *corev1.Pod) {
		p.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpExists}},
			}},
		}}
	}}
	e.podGroup("apart", 3, nil)
	e.createPods(members("apart", 3, options...)...)
	e.onNodes("apart", 3, key, 3)
	e.RemovePods(groupLabel + "=apart")
	e.Gone(groupLabel + "=apart")

	e.podGroup("crowd", 4, nil)
	options[0] = apartBy(key, "crowd")
	e.createPods(members("crowd", 4, options...)...)
	e.Refused(groupLabel+"=crowd", 4, "3 of 4 members fit the fabric")
}

// The workers sort before the head, and each needs the head in its domain.
func TestWorkersBesideTheHead(t *testing.T) {
	e := onGPUs(t)
	key := e.labelNodes(2)
	e.podGroup("beside", 4, nil)
	head := newPod("z-head", inGroup("beside"), asking("80", "1Gi"))
	head.Labels["role"] = "head-of-" + e.Namespace
	pods := members("beside", 3, asking("80", "1Gi"), near(key, "role", head.Labels["role"]))
	e.createPods(append(pods, head)...)
	e.onNodes("beside", 4, key, 1)
	e.onNodes("beside", 4, corev1.LabelHostname, 4)
}

// Members that need each other go to one domain: the first of them finds no match.
func TestMembersNearEachOther(t *testing.T) {
	e := onGPUs(t)
	key := e.labelNodes(2)
	e.podGroup("close", 3, nil)
	e.createPods(members("close", 3, asking("80", "1Gi"), near(key, groupLabel, "close"))...)
	e.onNodes("close", 3, key, 1)
}
