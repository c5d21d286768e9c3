// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins_test

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// shortReasons are about rooms that are full now, and about rooms that are always too small.
var shortReasons = []reason{
	{title: "Nodes hold some members, and devices keep the next one out", before: func(s *scene) {
		s.nodes(gpus)
		s.group("train", 9)
		s.claimed("train", 9, []any{fleet.ClassGPU, 1, fleet.ClassRDMA, 5}, inGroup("train"))
	}},
	{title: "All nodes are in use", before: func(s *scene) {
		s.nodes(plain)
		for i := range 8 {
			s.pod(fmt.Sprintf("other-%d", i), cpu("30"), runsOn(s.node(i).Name), by("default-scheduler"))
		}
		s.group("train", 30)
		s.pods("train", 30, inGroup("train"), cpu("20"))
	}},
	{title: "The required level has room, but not now", before: func(s *scene) {
		s.nodes(plain)
		for i := range 2 {
			s.pod(fmt.Sprintf("other-%d", i), cpu("20"), runsOn(s.node(4*i).Name), by("default-scheduler"))
		}
		s.group("train", 4, required, "leaf")
		s.pods("train", 4, inGroup("train"), cpu("20"))
	}},
	{title: "No node has as many devices as a member asks for", before: func(s *scene) {
		s.nodes(gpus)
		s.group("train", 2)
		s.claimed("train", 2, []any{fleet.ClassGPU, 16}, inGroup("train"))
	}},
	{title: "A member that is terminating still uses its node", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 4, required, "leaf")
		for i := range 4 {
			s.pod(fmt.Sprintf("train-%d", i), inGroup("train"), cpu("20"), runsOn(s.node(i).Name))
		}
		s.start[len(s.start)-1].(*v1.Pod).DeletionTimestamp = &metav1.Time{Time: birth}
		s.pod("train-4", inGroup("train"), cpu("20"))
	}},
	{title: "A member that is terminating has no replacement yet", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 3)
		s.pod("train-0", inGroup("train"), runsOn(s.node(0).Name), func(p *v1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: birth} })
		s.pod("train-1", inGroup("train"))
		s.pod("train-2", inGroup("train"))
	}},
	{title: "A taint keeps members off all nodes", before: func(s *scene) {
		s.nodes(plain)
		for i := range 8 {
			s.node(i).Spec.Taints = []v1.Taint{{Key: "nvidia.com/gpu", Value: "present", Effect: v1.TaintEffectNoSchedule}}
		}
		s.group("train", 2)
		s.pods("train", 2, inGroup("train"))
	}},
}

// mistakeReasons are about names and labels that do not exist.
var mistakeReasons = []reason{
	{title: "No node has a label of the node selector", countless: true, before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 2)
		s.pods("train", 2, inGroup("train"), func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"pool": "train"} })
	}},
	{title: "No node matches an expression of the node affinity", countless: true, before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 2)
		s.pods("train", 2, inGroup("train"), func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
				NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{
					{Key: "pool", Operator: v1.NodeSelectorOpIn, Values: []string{"train", "batch"}},
				}}},
			}}}
		})
	}},
	{title: "The template of the members' claims does not exist", countless: true, before: func(s *scene) {
		s.nodes(gpus)
		s.group("train", 2)
		s.pods("train", 2, inGroup("train"), fromTemplate("eight-gpus"))
	}},
	{title: "A claim that a member names does not exist", countless: true, before: func(s *scene) {
		s.nodes(gpus)
		s.group("train", 2)
		s.pods("train", 2, inGroup("train"), claiming("shared"))
	}},
}

// metadataReasons are about labels and annotations of Dovetail that have no effect. The pods
// without a gang are too large for the nodes.
var metadataReasons = []reason{
	{title: "A pod without a gang has an unknown annotation", single: true, before: func(s *scene) {
		s.nodes(plain)
		s.pod("train-0", cpu("64"), annotation("dovetail.dev/topology-requierd", "leaf"))
	}},
	{title: "A pod without a gang has a wrong alignment", single: true, before: func(s *scene) {
		s.nodes(plain)
		s.pod("train-0", cpu("64"), annotation(alignment, "always"))
	}},
	{title: "A pod without a gang asks for devices with a wrong alignment", single: true, before: func(s *scene) {
		s.nodes(gpus)
		s.claimed("train", 1, []any{fleet.ClassGPU, 1}, annotation(alignment, "always"))
	}},
	{title: "The gang's name is an annotation", single: true, before: func(s *scene) {
		s.nodes(plain)
		s.pod("train-0", cpu("64"), annotation(gangs.GangNameLabel, "train"), annotation(gangs.GangMinAnnotation, "3"))
	}},
	{title: "The gang's minimum is a label", countless: true, before: func(s *scene) {
		s.nodes(plain)
		s.pods("train", 3, label(gangs.GangNameLabel, "train"), label(gangs.GangMinAnnotation, "3"))
	}},
	{title: "A member has an unknown annotation", before: func(s *scene) {
		s.nodes(plain)
		s.pods("train", 3, label(gangs.GangNameLabel, "train"), annotation(gangs.GangMinAnnotation, "5"), annotation("dovetail.dev/topology_required", "leaf"))
	}},
	{title: "The time limit of a member is no duration", before: func(s *scene) {
		s.nodes(plain)
		s.pods("train", 3, label(gangs.GangNameLabel, "train"), annotation(gangs.GangMinAnnotation, "5"), annotation(gangs.TimeLimitAnnotation, "2 hours"))
	}},
	{title: "The time limit of a pod without a gang, for Kueue, is no number", single: true, before: func(s *scene) {
		s.nodes(plain)
		s.pod("train-0", cpu("64"), label(gangs.MaxExecTimeLabel, "1h"))
	}},
}
